"""``flask otp``: what an operator asks for on the command line, one file per group of commands."""

from flask.cli import AppGroup

from .audit import audit_id
from .openapi import print_openapi
from .policy import print_policy
from .test_identity import test_identity

otp: AppGroup = AppGroup("otp", help="One-time codes: policy, audit, OpenAPI.")
otp.add_command(print_policy)
otp.add_command(audit_id)
otp.add_command(test_identity)
otp.add_command(print_openapi)
