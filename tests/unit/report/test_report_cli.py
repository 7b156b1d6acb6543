import json
import subprocess
import sys

import pytest

from organza.cli.report import main


def test_the_page_is_written_and_named(tmp_path, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"recipe": "dcgan"}))
    main([str(tmp_path)])
    assert str(tmp_path / "report.html") in capsys.readouterr().out
    assert "dcgan" in (tmp_path / "report.html").read_text()


def test_another_folder_is_refused_with_what_to_type(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="make one with: organza train"):
        main(["runs/none"])
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="type: organza report runs/a"):
        main(["runs/none"])


def test_help_needs_no_torch():
    code = "import sys\nfrom organza.cli.report import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "run folder" in done.stdout
