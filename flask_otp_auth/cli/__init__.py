"""``flask otp``: what an operator asks for on the command line, one file per group of commands."""

from flask.cli import AppGroup

from .audit import audit_id
from .check import check
from .codes import send, verify
from .openapi import print_openapi
from .policy import print_policy
from .sign_ins import revoke, sign_ins
from .support import inspect, unlock
from .test_identity import test_identity

otp: AppGroup = AppGroup("otp", help="One-time codes: look, send, mend.")
otp.add_command(check)
otp.add_command(send)
otp.add_command(verify)
otp.add_command(inspect)
otp.add_command(unlock)
otp.add_command(sign_ins)
otp.add_command(revoke)
otp.add_command(print_policy)
otp.add_command(audit_id)
otp.add_command(test_identity)
otp.add_command(print_openapi)
