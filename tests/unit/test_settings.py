from pathlib import Path

import pytest

from keycairn.app.settings import HELP, SECRETS, Settings, read_settings
from keycairn.domain.errors import SettingsError
from keycairn.domain.rootkey import RootKeyForm

PHRASE = "passphrase:seven violet herons over the quiet mill"


def test_nothing_set_gives_the_defaults() -> None:
    assert read_settings({"PATH": "/bin", "KEYCAIRN_PORT": "  "}) == Settings()
    assert Settings().store_url == "surrealkv://keycairn-data/db"


def test_every_setting_is_read() -> None:
    settings = read_settings(
        {
            "KEYCAIRN_ROOT_KEY": PHRASE,
            "KEYCAIRN_DATA_DIR": "/srv/keycairn",
            "KEYCAIRN_DATABASE_URL": "wss://db.example",
            "KEYCAIRN_DATABASE_NAMESPACE": "n",
            "KEYCAIRN_DATABASE_DATABASE": "d",
            "KEYCAIRN_DATABASE_USER": "u",
            "KEYCAIRN_DATABASE_PASSWORD": "p",
            "KEYCAIRN_HOST": "::1",
            "KEYCAIRN_PORT": "80",
            "KEYCAIRN_ADMIN_TOKEN": "t" * 32,
            "KEYCAIRN_EGRESS_POLICY": "Strict",
            "KEYCAIRN_EGRESS_ALLOW": "https://a.example, 10.0.0.0/8,",
            "KEYCAIRN_EGRESS_PROXY": "http://user:p%40ss@Proxy.Example:3128/",
            "KEYCAIRN_EGRESS_CA_FILE": "/etc/ca.pem",
            "KEYCAIRN_ENV_FILE": "/etc/keys.env",
            "KEYCAIRN_EXTERNAL_PLUGINS": "off",
            "KEYCAIRN_OPEN_NOTEBOOK_CLIENT": "on",
            "KEYCAIRN_LOG_LEVEL": "debug",
            "KEYCAIRN_BACKUP_DIR": "/srv/backups",
            "KEYCAIRN_BACKUP_EVERY": "6",
            "KEYCAIRN_BACKUP_KEEP": "3",
            "KEYCAIRN_AUDIT_KEEP_DAYS": "0",
            "KEYCAIRN_USAGE_KEEP_DAYS": "36500",
            "KEYCAIRN_TOKEN_KEEP_DAYS": "30",
        }
    )
    assert (settings.backup_dir, settings.backup_every, settings.backup_keep) == (Path("/srv/backups"), 6, 3)
    assert (settings.audit_keep_days, settings.usage_keep_days, settings.token_keep_days) == (0, 36500, 30)
    assert settings.root_key is not None
    assert settings.root_key.form is RootKeyForm.PASSPHRASE
    assert (settings.database_namespace, settings.database_name, settings.database_user) == ("n", "d", "u")
    assert settings.database_password is not None
    assert settings.database_password.reveal() == "p"
    assert (settings.host, settings.port, settings.embedded) == ("::1", 80, False)
    assert (settings.egress_policy, settings.egress_allow) == ("strict", ("https://a.example", "10.0.0.0/8"))
    assert settings.egress_ca_file == Path("/etc/ca.pem")
    proxy = settings.egress_proxy
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.login and proxy.login.reveal()) == ("proxy.example", 3128, "user:p@ss")
    assert "p@ss" not in repr(settings)
    assert (settings.env_file, settings.external_plugins) == (Path("/etc/keys.env"), False)
    assert settings.open_notebook_client
    assert settings.log_level == "debug"


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_can_come_from_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    texts = {"ADMIN_TOKEN": PHRASE.replace(" ", "-"), "EGRESS_PROXY": "http://proxy:3128"}
    file.write_text(f"{texts.get(name, PHRASE)}\n")
    assert read_settings({f"KEYCAIRN_{name}_FILE": str(file)}) != Settings()
    with pytest.raises(SettingsError, match="not both"):
        read_settings({f"KEYCAIRN_{name}": PHRASE, f"KEYCAIRN_{name}_FILE": str(file)})
    file.write_text(" \n")
    with pytest.raises(SettingsError, match="empty"):
        read_settings({f"KEYCAIRN_{name}_FILE": str(file)})
    with pytest.raises(SettingsError, match="does not exist"):
        read_settings({f"KEYCAIRN_{name}_FILE": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROOT_KEY", "changeme-canary"),
        ("ROOT_KEY", "base64:canary"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "٨٠"),
        ("ADMIN_TOKEN", "short-canary"),
        ("ADMIN_TOKEN", "with a space canary " * 3),
        ("EGRESS_POLICY", "open"),
        ("EGRESS_PROXY", "https://proxy:3128"),
        ("EGRESS_PROXY", "socks5://canary@proxy:1080"),
        ("EGRESS_PROXY", "proxy:3128"),
        ("EGRESS_PROXY", "http://canary@proxy"),
        ("EGRESS_PROXY", "http://proxy:99999"),
        ("EGRESS_PROXY", "http://proxy:3128/canary"),
        ("EGRESS_PROXY", "http://a%0d%0acanary@proxy:3128"),
        ("EGRESS_PROXY", "http://"),
        ("EXTERNAL_PLUGINS", "maybe"),
        ("OPEN_NOTEBOOK_CLIENT", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "postgres://x"),
        ("DATABASE_URL", "ws://root:canary@db"),
        ("DATABASE_URL", "ws://"),
        ("DATABASE_URL", "ws://db:99999"),
        ("DATABASE_URL", "ws://[::1"),
        ("DATABASE_URL", "surrealkv://x?sync=every"),
        ("PROT", "1"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_that_names_it_and_keeps_secrets(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({f"KEYCAIRN_{name}": value})
    assert f"KEYCAIRN_{name}" in str(refused.value)
    assert "canary" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_setting_says_what_it_means() -> None:
    assert HELP.keys() >= SECRETS
    assert all(text.endswith(".") or "Default" in text for text in HELP.values())


def test_what_a_cluster_sets_beside_a_service_called_keycairn_is_not_meant_for_us() -> None:
    links = {
        "KEYCAIRN_SERVICE_HOST": "10.0.0.1",
        "KEYCAIRN_SERVICE_PORT": "8765",
        "KEYCAIRN_SERVICE_PORT_HTTP": "8765",
        "KEYCAIRN_PORT": "tcp://10.0.0.1:8765",
        "KEYCAIRN_PORT_8765_TCP": "tcp://10.0.0.1:8765",
        "KEYCAIRN_PORT_8765_TCP_PROTO": "tcp",
        "KEYCAIRN_PORT_8765_TCP_PORT": "8765",
        "KEYCAIRN_PORT_8765_TCP_ADDR": "10.0.0.1",
    }
    assert read_settings(links) == Settings()


@pytest.mark.parametrize("name", ["KEYCAIRN_SERVICE_HOSTS", "KEYCAIRN_PORTS", "KEYCAIRN_PORT_TCP"])
def test_but_what_only_looks_like_it_is_a_slip(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({name: "1"})


def test_what_only_the_commands_read_does_not_stop_a_server() -> None:
    assert read_settings({"KEYCAIRN_URL": "https://keycairn.example", "KEYCAIRN_TOKEN": "kc_x"}) == Settings()
