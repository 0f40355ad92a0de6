"""As much of curl as the printed lines need, for machines that have none."""

import argparse
import sys
import urllib.error
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("-s", action="store_true")
parser.add_argument("-X", dest="method")
parser.add_argument("-H", dest="headers", action="append", default=[])
parser.add_argument("-d", dest="data")
parser.add_argument("url")
options = parser.parse_args()

url = options.url if "://" in options.url else f"http://{options.url}"
body = None if options.data is None else options.data.encode()
request = urllib.request.Request(url, body, method=options.method)  # noqa: S310 - the address is the test's own
for header in options.headers:
    name, _, value = header.partition(":")
    request.add_header(name, value.strip())
try:
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - the address is the test's own
        sys.stdout.write(answer.read().decode())
except urllib.error.HTTPError as answer:
    with answer:
        sys.stdout.write(answer.read().decode())
