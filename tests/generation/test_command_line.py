"""What every command does first: `.env`, misspelt settings, unknown arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from doctown.embedding import EmbeddingSettings
from doctown.repository import Limits
from generation.bulk.engines.runpod.settings import RunPodSettings
from generation.command_line import ALL_SETTINGS, CommandParser, prepare_environment
from generation.config import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_env_file_is_read_and_existing_variables_win(folder: Path) -> None:
    """Settings come from `.env` where they are not set; nothing else is taken from it."""
    (folder / ".env").write_text("OPENAI_API_KEY='sk-file'\nexport MAX_SYMBOLS=3\nPATH=/planted\nBATCH_SIZE=\n")
    environ = {"MAX_SYMBOLS": "7", "PATH": "/bin"}

    assert prepare_environment(environ) == []
    settings = Settings.from_env(environ)
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-file"
    assert (settings.max_symbols, environ["PATH"]) == (7, "/bin")


@pytest.mark.parametrize(("name", "taken"), [("other.env", "4"), ("", None), ("none.env", None)])
def test_another_env_file_can_be_named_or_none(folder: Path, name: str, taken: str | None) -> None:
    """ENV_FILE names the file; empty, or a file that is not there, means that none is read."""
    (folder / ".env").write_text("MAX_SYMBOLS=3\n")
    (folder / "other.env").write_text("MAX_SYMBOLS=4\n")
    environ = {"ENV_FILE": name}
    prepare_environment(environ)

    assert environ.get("MAX_SYMBOLS") == taken


def test_a_key_of_the_environment_is_sent_to_no_address_of_a_file(folder: Path) -> None:
    """The `.env` of a cloned repository cannot have the user's own key sent to a server of its choice."""
    (folder / ".env").write_text("OPENAI_BASE_URL=https://elsewhere.example/v1\n")
    environ = {"OPENAI_API_KEY": "sk-mine"}
    [warning] = prepare_environment(environ)

    assert "OPENAI_BASE_URL in .env is not used" in warning
    assert "OPENAI_BASE_URL" not in environ
    (folder / ".env").write_text("OPENAI_BASE_URL=https://elsewhere.example/v1\nOPENAI_API_KEY=sk-file\n")
    environ = {}
    assert prepare_environment(environ) == []
    assert environ["OPENAI_BASE_URL"] == "https://elsewhere.example/v1"


def test_misspelt_settings_are_named_with_the_nearest(folder: Path) -> None:
    """A variable that looks like a setting is warned of, wherever it stands; variables of other programs are not."""
    (folder / ".env").write_text("OPENAI_KEY=sk-file\n")
    others = {
        "AWS_SECRET_ACCESS_KEY": "a",
        "RUNPOD_AI_API_KEY": "b",
        "GH_TOKEN": "c",
        "HOSTNAME": "d",
        "OPENAI_ORG_ID": "",
    }

    assert prepare_environment({"MAX_SYMBOL": "3", **others}) == [
        "MAX_SYMBOL is no setting: did you mean MAX_SYMBOLS?",
        "OPENAI_KEY is no setting: did you mean OPENAI_API_KEY?",
    ]


def test_the_model_may_be_named_as_openais_tools_name_it() -> None:
    """OPENAI_MODEL is read where MODEL_NAME is not set."""
    key = {"OPENAI_API_KEY": "k", "OPENAI_MODEL": "gpt-4o"}
    assert Settings.from_env(key).model_name == "gpt-4o"
    assert Settings.from_env({**key, "MODEL_NAME": "gpt-4o-mini"}).model_name == "gpt-4o-mini"


def test_every_setting_of_every_command_is_known() -> None:
    """The settings that other packages read are known too, so that `.env` may have them."""
    runpod = {name.upper() for name in RunPodSettings.model_fields}
    fetch = {f"FETCH_{name.upper()}" for name in Limits.__dataclass_fields__}
    embedding = {f"EMBEDDING_{name.upper()}" for name in EmbeddingSettings.__dataclass_fields__}
    assert runpod | fetch | embedding <= ALL_SETTINGS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--max-cots", "3"], "there is no argument --max-cots: did you mean --max-cost?"),
        (["rum"], "did you mean run?"),
        (["run", "more"], "there is no argument more\n"),
    ],
)
def test_an_unknown_argument_is_refused_with_the_nearest(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command exits with 2 and says what was meant, also below a subcommand."""
    parser = CommandParser("command")
    parser.add_subparsers(dest="name", required=True).add_parser("run").add_argument("--max-cost")
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(arguments)

    assert ended.value.code == 2
    assert words in capsys.readouterr().err
