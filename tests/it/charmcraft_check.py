"""Hold the charm to Charmcraft's own rules, without building it.

usage: charmcraft_check.py project FOLDER…   a project's files, as `charmcraft pack` reads them
       charmcraft_check.py charm FOLDER…     an unpacked charm, by the linters of `charmcraft analyse`

What is wrong with a folder goes to stderr, after the folder's name, and the exit code is 1.
"""

import pathlib
import sys

import craft_cli
import pydantic
import yaml
from craft_application.grammar import process_parts
from craft_application.util import safe_yaml_load

# The linters and models report progress through this; it has to be set up before they are used.
craft_cli.emit.init(craft_cli.EmitterMode.QUIET, "charmcraft", "checking the charm")

from charmcraft import preprocess
from charmcraft.linters import CHECKERS
from charmcraft.models.lint import LintResult
from charmcraft.models.project import CharmcraftProject
from charmcraft.parts import setup_parts


def check_project(folder: pathlib.Path) -> list[str]:
    """Load the project once per platform, as Charmcraft does before it builds."""
    setup_parts()
    problems = []
    platforms = yaml.safe_load((folder / "charmcraft.yaml").read_text())["platforms"]
    for platform in platforms:
        # CharmcraftProject.from_yaml_file does the same, but takes no conditions on the architecture ("on amd64 to …").
        with (folder / "charmcraft.yaml").open() as file:
            data = safe_yaml_load(file)
        preprocess.add_metadata(folder, data)
        preprocess.add_config(folder, data)
        preprocess.add_actions(folder, data)
        process_parts(parts_yaml_data=data["parts"], arch=platform, target_arch=platform)
        try:
            CharmcraftProject.unmarshal(data)
        except pydantic.ValidationError as error:
            problems += [
                f"{platform}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
            ]
    return problems


def check_charm(folder: pathlib.Path) -> list[str]:
    """Run every linter that works without Charmcraft's build environment."""
    acceptable = {LintResult.OK, LintResult.NONAPPLICABLE}
    results = [checker().get_result(folder) for checker in CHECKERS]
    return [
        f"{result.name}: {result.result}: {result.text}"
        for result in results
        if result.check_type == "lint" and result.result not in acceptable
    ]


def check(kind: str, folder: pathlib.Path) -> list[str]:
    """Say what is wrong with a folder, a text each."""
    try:
        return {"project": check_project, "charm": check_charm}[kind](folder)
    except craft_cli.CraftError as error:
        return [f"{error}: {error.details}" if error.details else str(error)]


def main() -> int:
    kind, *folders = sys.argv[1:]
    problems = [f"{folder}: {problem}" for folder in folders for problem in check(kind, pathlib.Path(folder))]
    craft_cli.emit.ended_ok()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
