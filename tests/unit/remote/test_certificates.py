"""Certificates are read once, and as httpx reads them."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import httpx
import pytest

from rerank_plugins.remote import HttpClient
from rerank_plugins.remote.certificates import trusted


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


def test_all_clients_share_them_and_servers_are_checked() -> None:
    context, of_httpx = trusted(), httpx.create_ssl_context()
    assert trusted() is context
    assert context.verify_mode is of_httpx.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.get_ca_certs() == of_httpx.get_ca_certs() != []


def test_a_file_of_certificates_counts_from_when_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_httpx = trusted()
    end = "-----END CERTIFICATE-----\n"
    (tmp_path / "one.pem").write_text(Path(certifi.where()).read_text(encoding="utf-8").split(end)[0] + end)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "one.pem"))
    assert len(trusted().get_ca_certs()) == 1
    monkeypatch.delenv("SSL_CERT_FILE")
    assert trusted() is of_httpx


def test_a_file_that_is_not_there_is_an_error_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            HttpClient("https://127.0.0.1:9").post("/", {})
