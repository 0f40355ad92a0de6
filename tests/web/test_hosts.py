"""Where deliveries run: in the background, unless a test, a setting or the host says otherwise."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from flask_otp_auth.web.hosts import inline_policy

VARIABLES = (
    "AWS_LAMBDA_FUNCTION_NAME", "LAMBDA_TASK_ROOT", "K_SERVICE", "K_REVISION", "CLOUD_RUN_JOB",
    "FUNCTION_TARGET", "GAE_ENV", "FUNCTIONS_WORKER_RUNTIME", "TENCENTCLOUD_RUNENV",
    "FC_FUNCTION_NAME", "FN_FN_ID", "__OW_API_HOST", "VERCEL", "NETLIFY",
)  # fmt: skip


@pytest.fixture(autouse=True)
def ordinary_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is none of those that freeze processes."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "uwsgi", raising=False)


def is_inline(*, has_executor: bool = False, **config: Any) -> bool:
    """Tell whether an app with this configuration delivers in the request."""
    app = Flask("shop")
    app.config.update(config)
    delivery = app.config.get("OTP_AUTH_DELIVERY", "background")
    return inline_policy(app, delivery, has_executor=has_executor)()


@pytest.mark.parametrize(
    ("config", "inline"),
    [
        ({"TESTING": True}, True),
        ({"TESTING": True, "OTP_AUTH_DELIVERY": "background"}, False),
        ({"TESTING": False}, False),
        ({"TESTING": False, "OTP_AUTH_DELIVERY": "inline"}, True),
    ],
    ids=str,
)
def test_tests_deliver_in_the_request_unless_they_ask_for_the_background(
    config: dict[str, Any], inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_inline(**config) is inline
    assert caplog.records == []


def test_whether_the_app_is_under_test_is_looked_at_at_each_delivery() -> None:
    app = Flask("shop")
    policy = inline_policy(app, "background", has_executor=False)
    answers = []
    for app.testing in (True, False):
        answers.append(policy())
    assert answers == [True, False]


class TestServersWithoutThreads:
    @pytest.mark.parametrize(
        ("options", "inline"),
        [
            ({}, True),
            ({"master": True, "processes": b"4"}, True),
            ({"enable-threads": True}, False),
            ({"enable-threads": b"true"}, False),
            ({"threads": b"4"}, False),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("explicit", [{}, {"OTP_AUTH_DELIVERY": "background"}], ids=str)
    def test_deliver_in_the_request_with_a_warning(
        self,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        options: dict[str, object],
        inline: bool,
        explicit: dict[str, str],
    ) -> None:
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
        assert is_inline(**explicit) is inline
        assert ("--enable-threads" in caplog.text) is inline

    def test_leave_it_to_an_executor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt={}))
        assert not is_inline(has_executor=True)


class TestHostsThatFreezeProcesses:
    @pytest.mark.parametrize("variable", VARIABLES)
    def test_are_known_by_their_environment(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "shop")
        assert is_inline()
        assert f"{variable} is set" in caplog.text
        assert "the time of an answer tells who has an account" in caplog.text

    @pytest.mark.parametrize(
        ("config", "inline"),
        [({"OTP_AUTH_DELIVERY": "background"}, False), ({"OTP_AUTH_DELIVERY": "inline"}, True)],
        ids=str,
    )
    def test_are_believed_less_than_a_setting(
        self,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        config: dict[str, str],
        inline: bool,
    ) -> None:
        monkeypatch.setenv("K_SERVICE", "shop")
        assert is_inline(**config) is inline
        assert caplog.records == []

    def test_leave_it_to_an_executor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("K_SERVICE", "shop")
        assert not is_inline(has_executor=True)

    def test_need_no_warning_in_tests(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("K_SERVICE", "shop")
        assert is_inline(TESTING=True)
        assert caplog.records == []
