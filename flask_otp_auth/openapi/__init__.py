"""The OpenAPI document, made from what the API itself runs on.

Routes are those of :data:`flask_otp_auth.web.api.ROUTES`, bodies the dataclasses that requests are
read into, answers the annotations of the views, and refusals the error classes. Nothing is written
twice, so nothing can be out of date.
"""
