"""The script for a shell knows all verbs and their options."""

import argparse
import subprocess
import sys

import pytest

from vqmm.commands import completion
from vqmm.commands.launch import VERBS
from vqmm.errors import UserError


def printed(capsys, shell):
    parser = argparse.ArgumentParser()
    completion.add_arguments(parser)
    completion.main(parser.parse_args([shell]))
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_has_all_verbs_and_options(shell, capsys):
    pytest.importorskip("shtab", reason="completion needs shtab: pip install 'vqmm[completion]'")
    script = printed(capsys, shell)
    for word in (*VERBS, "--tokenizer", "--manifest", "--source", "tuxpaint"):
        assert word in script, word


def test_bash_completes_by_it(capsys, tmp_path):
    pytest.importorskip("shtab", reason="completion needs shtab: pip install 'vqmm[completion]'")
    (tmp_path / "script").write_text(printed(capsys, "bash"))
    ask = (
        "source ./script; COMP_WORDS=(vqmm prepare --sour); COMP_CWORD=2; _shtab_vqmm; "
        'echo "${COMPREPLY[@]}"; COMP_WORDS=(vqmm doc); COMP_CWORD=1; _shtab_vqmm; echo "${COMPREPLY[@]}"'
    )
    run = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    option, verb = run.stdout.splitlines()
    assert option.split() == ["--source", "--source-folder"] and verb.split() == ["doctor"]


def test_without_the_extra_it_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(UserError, match=r"needs shtab, which .* pip install 'vqmm\[completion\]'"):
        printed(capsys, "bash")
