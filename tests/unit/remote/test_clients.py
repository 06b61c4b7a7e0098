"""Certificates are read once, and as httpx reads them; what the environment says amiss is told."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import httpx
import pytest

from rerank_plugins.errors import RemoteError
from rerank_plugins.remote import HttpClient
from rerank_plugins.remote.clients import trusted


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


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SSL_CERT_FILE", "/no/such/file", "FileNotFoundError"),
        ("SSL_CERT_FILE", __file__, "SSLError"),
        ("ALL_PROXY", "gopher://127.0.0.1:9", "ValueError"),
        ("ALL_PROXY", "http://127.0.0.1:port", "InvalidURL"),
    ],
)
async def test_an_environment_that_cannot_be_used_is_told_alike(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    client = HttpClient("https://127.0.0.1:9")
    for _ in range(2):
        with pytest.raises(RemoteError, match=f"environment .{told}: .*check SSL_CERT_FILE") as waiting:
            client.post("/", {})
        with pytest.raises(RemoteError) as awaited:
            await client.apost("/", {})
        assert str(awaited.value) == str(waiting.value)
        assert not waiting.value.is_passing
        assert not awaited.value.is_passing
