"""Compares the man pages (man/*.md) with the programs, both ways: commands, options, arguments and keys of files.

What the programs accept comes from their --help, and from the errors about unknown keys, which list the known ones. The
rules for a page:

    | **fairctl backend set** [*OPTION*...] *SERVICE*   a line of the synopsis for each command
    **-o**, **--output** *FILE*                         an option, followed by a line that starts with ':'
    # OPTIONS                                           options of the page's program or command
    ## fairctl backend set                              options of this command, or of several joined by 'and'
    ## Keys of ports[]                                  keys of each of `ports`; 'the file' is the top of the file
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGES = TOP / "man"
PROGRAMS = {
    "fairctl": "tools/fairctl/fairctl", "fairlead-agent": "tools/agent/fairlead-agent",
    "fairlead-dataplane": "dataplane/fairlead-dataplane", "fairleadd": "controlplane/fairleadd",
}
# Options of other programs that the pages mention.
FOREIGN = {"--no-huge", "--log-level", "--vdev"}
OPTION = r"--[a-z][a-z0-9-]*"


# ---- what the programs accept ----------------------------------------------------------------------------------------

class Command:
    """A program, or one of its commands, by its --help."""

    def __init__(self, build, words):
        self.words = words
        done = subprocess.run([build / PROGRAMS[words[0]], *words[1:], "--help"], capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        self.help = done.stdout
        sections = dict(re.findall(r"^(Positionals|Options|Subcommands):\n((?:  .*\n?)*)", self.help, re.M))
        # "  --mac TEXT Excludes: --no-mac": the first word of a line that is not the continuation of another.
        first_words = re.findall(r"^  (-\S+)", sections.get("Options", ""), re.M)
        self.options = {name for word in first_words for name in re.findall(OPTION, word)}
        self.arguments = re.findall(r"^  (\S+)", sections.get("Positionals", ""), re.M)
        self.subcommands = [Command(build, [*words, name])
                            for name in re.findall(r"^  (\S+)", sections.get("Subcommands", ""), re.M)]

    @property
    def name(self):
        return " ".join(self.words)

    def all(self):
        yield self
        for each in self.subcommands:
            yield from each.all()


@pytest.fixture(scope="module")
def programs(build):
    return {name: Command(build, [name]) for name in PROGRAMS}


class ConfigFile:
    """A file as a program reads it. The program then ends in any case, because of its other options."""

    def __init__(self, page, program, options, base, variants=({},)):
        self.page, self.program, self.options, self.base = page, program, options, base
        self.variants = variants  # further bases: some keys exist only beside a certain value

    def with_variant(self, variant):
        return ConfigFile(self.page, self.program, self.options, {**self.base, **variant})

    def complaint(self, build, folder, text):
        """Why the file is refused; empty if it is accepted."""
        path = folder / self.page
        path.write_text(text)
        done = subprocess.run([build / PROGRAMS[self.program], *self.options, path], capture_output=True, text=True,
                              cwd=folder, timeout=60, check=False)
        return done.stderr if path.name in done.stderr else ""

    def keys_at(self, complaint, path):
        """The known keys, in the error about an unknown one. None: the error is another one."""
        match = re.search(rf"{re.escape(path)}: (?:unknown key; the keys here are|1 belongs to .* has) (.*)$", complaint,
                          re.M)
        return match and re.split(",? ", match[1])


FILES = [
    ConfigFile("dataplane.yaml.5", "fairlead-dataplane", ["--link", "none", "--no-link", "--config"],
               {"ports[]": {"name": "wan", "device": "null"}}),
    ConfigFile("fairleadd.yaml.5", "fairleadd", ["--socket", "none.sock", "--store", "/dev/null/store", "--config"], {}),
    ConfigFile("services.yaml.5", "fairctl", ["snapshot", "build", "--output", "image"],
               {"": {"services": []}, "services[]": {"name": "web", "frontends": ["203.0.113.10:80/tcp"]},
                "services[].backends[]": {"address": "10.0.0.11"}},
               [{"services[].health_check": {"type": type_name}}
                for type_name in ("tcp", "http", "https", "grpc", "udp", "none")]),
]
UNKNOWN = "no_such_key"


def document(file, path, value):
    """A file that has `value`, added to the needed keys, at `path` ("services[].health_check")."""
    names = path.split(".") if path else []
    for depth in range(len(names), -1, -1):
        place = ".".join(names[:depth])
        if isinstance(value, dict):
            value = {**file.base.get(place, {}), **value}
        if depth:
            name = names[depth - 1]
            value = {name[:-2]: [value]} if name.endswith("[]") else {name: value}
    return value


def keys_of(file, build, folder, path=""):
    """The keys of each mapping of the file: {"": [...], "ports[]": [...]}. It asks about every key whether it is one."""
    at = (path.replace("[]", "[0]") + "." if path else "") + UNKNOWN
    keys = file.keys_at(file.complaint(build, folder, json.dumps(document(file, path, {UNKNOWN: 1}))), at)
    if keys is None:
        return {}
    found = {path: keys}
    for key in keys:
        for below in (key, key + "[]"):
            found |= keys_of(file, build, folder, f"{path}.{below}" if path else below)
    return found


def keys_of_variants(file, build, folder):
    """As keys_of, with the keys of all variants of the file. Each variant is asked about what it changes."""
    found = keys_of(file, build, folder)
    for variant in file.variants:
        for place in variant:
            for path, keys in keys_of(file.with_variant(variant), build, folder, place).items():
                found[path] = list(dict.fromkeys(found.get(path, []) + keys))
    return found


def test_the_variants_of_services_yaml_are_the_check_types(build, tmp_path):
    file = next(file for file in FILES if file.page == "services.yaml.5")
    text = json.dumps(document(file, "services[].health_check", {"type": UNKNOWN}))
    types = re.search(r"is not one of (.*)$", file.complaint(build, tmp_path, text), re.M)[1].split(" | ")
    assert sorted(variant["services[].health_check"]["type"] for variant in file.variants) == sorted(types)


# ---- what the pages say ----------------------------------------------------------------------------------------------

class Page:
    def __init__(self, name, text):
        self.name, self.text = name, text
        self.stem, self.section = name.rsplit(".", 1)
        parts = re.split(r"^(##? .*)$", text, flags=re.M)
        self.parts = dict(zip((title.strip("# ") for title in parts[1::2]), parts[2::2]))

    @staticmethod
    def terms(text):
        return re.findall(r"^(\S.*)\n+(?=:   )", text, re.M)

    def synopses(self):
        """{"fairctl backend set": ["SERVICE", "BACKEND"]}"""
        found = {}
        for line in self.parts["SYNOPSIS"].splitlines():
            match = re.match(r"\| \*\*([a-z -]+)\*\*(.*)", line)
            if match:
                rest = re.sub(r"\*\*--[a-z-]+\*\* \*[^*]+\*", "", match[2])  # a required option
                found[match[1]] = [name for name in re.findall(r"\*([A-Z][A-Z-]*)\*", rest)
                                   if name not in ("OPTION", "COMMAND", "EAL-OPTION")]
        return found

    def options(self):
        """{"fairctl backend set": {"--mac", ...}}, and under "" the options of the page's own command."""
        found = {}
        for title, text in self.parts.items():
            names = re.findall(r"((?:fairctl|fairlead-agent)(?: (?!and\b)[a-z]+)+)", title) or [""]
            options = {option for term in self.terms(text) for option in re.findall(rf"\*\*({OPTION})\*\*", term)}
            for name in names:
                found.setdefault(name, set()).update(options)
        return found

    def keys(self):
        return {"" if match[1] == "the file" else match[1]: re.findall(r"^\*\*(\w+)\*\*\n+(?=:   )", text, re.M)
                for title, text in self.parts.items() if (match := re.fullmatch(r"Keys of (.+)", title))}

    def blocks(self, kind):
        return re.findall(rf"^```{kind}\n(.*?)^```$", self.text, re.M | re.S)


def read_pages():
    return {path.name[:-3]: Page(path.name[:-3], path.read_text(encoding="utf-8")) for path in PAGES.glob("*.md")}


def page_of(command):
    """A program has a page, and so has each of fairctl's commands. Deeper commands are in the page of their command."""
    if command.words[0] == "fairctl":
        return "-".join(command.words[:2]) + ".1"
    return command.words[0] + ".8"


def command_complaints(programs, pages):
    """Where the pages and the programs' --help differ."""
    found = []
    expected = {page_of(command) for program in programs.values() for command in program.all()}
    of_commands = {name for name in pages if not name.endswith(".5")}
    found += [f"man/{name}.md: missing" for name in expected - of_commands]
    found += [f"man/{name}.md: no program and no command has this name" for name in of_commands - expected]
    described = {name: pages[name].options() for name in of_commands & expected}
    synopses = {name: pages[name].synopses() for name in of_commands & expected}
    for program in programs.values():
        for command in program.all():
            name = page_of(command)
            if name not in described:
                continue
            is_own = page_of(command).rsplit(".", 1)[0] == "-".join(command.words)
            wanted = command.options - (set() if len(command.words) == 1 else {"--help"})
            told = described[name].pop(command.name, set()) | (described[name].pop("", set()) if is_own else set())
            found += [f"man/{name}.md: {command.name}: {option} is not described" for option in wanted - told]
            found += [f"man/{name}.md: {command.name} has no option {option}" for option in told - wanted]
            if command.subcommands and command.words != ["fairctl"]:
                continue  # the synopsis has its commands
            arguments = [argument.upper() for argument in command.arguments]
            shown = synopses[name].pop(command.name, None)
            if shown != arguments:
                found.append(f"man/{name}.md: SYNOPSIS of {command.name} has the arguments {shown}, not {arguments}")
    for name, rest in described.items():
        found += [f"man/{name}.md: there is no command {command}" for command in rest if command]
    for name, rest in synopses.items():
        found += [f"man/{name}.md: SYNOPSIS: there is no command {command}" for command in rest]
    return found


def mention_complaints(programs, pages):
    """Options that a page mentions anywhere and that no program has."""
    known = FOREIGN | {option for program in programs.values() for each in program.all() for option in each.options}
    return [f"man/{page.name}.md mentions {option}, which no program has" for page in pages.values()
            for option in sorted(set(re.findall(rf"(?<![\w-]){OPTION}", page.text)) - known)]


def key_complaints(keys, page):
    found = []
    told = page.keys()
    for path in keys.keys() | told.keys():
        wanted, names = set(keys.get(path, [])), set(told.get(path, []))
        place = f"man/{page.name}.md: Keys of {path or 'the file'}"
        found += [f"{place}: {key} is not described" for key in wanted - names]
        found += [f"{place}: there is no key {key}" for key in names - wanted]
    return found


# ---- tests -----------------------------------------------------------------------------------------------------------
# `quick` are those that run code of the programs which the others do not.

@pytest.mark.quick
def test_pages_have_the_commands_options_and_arguments_of_the_programs(programs):
    assert {command.name for command in programs["fairctl"].all()} >= {"fairctl status", "fairctl backend drain"}
    found = command_complaints(programs, read_pages())
    assert not found, "\n".join(found)


def test_pages_mention_only_options_that_exist(programs):
    found = mention_complaints(programs, read_pages())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.page)
def test_pages_have_the_keys_of_the_decoders(build, tmp_path, file):
    keys = keys_of_variants(file, build, tmp_path)
    assert keys.get(""), f"the error about an unknown key of {file.page} does not list the keys"
    found = key_complaints(keys, read_pages()[file.page])
    assert not found, "\n".join(found)


@pytest.mark.quick
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.page)
def test_examples_of_files_are_accepted(build, tmp_path, file):
    blocks = read_pages()[file.page].blocks("yaml")
    assert blocks
    for text in blocks:
        assert file.complaint(build, tmp_path, text) == "", text
    assert file.complaint(build, tmp_path, f"{UNKNOWN}: 1\n"), "every file is accepted"


@pytest.mark.quick
def test_examples_of_fairctl_are_correct_command_lines(build, tmp_path):
    """Without fairleadd they fail, but not with status 2. Those that need no fairleadd succeed."""
    pages = read_pages()
    (tmp_path / "services.yaml").write_text(pages["services.yaml.5"].blocks("yaml")[0])
    environment = {**os.environ, "FAIRLEAD_SOCKET": str(tmp_path / "none.sock"), "HOME": str(tmp_path)}
    subprocess.run([build / PROGRAMS["fairctl"], "snapshot", "build", "services.yaml", "--output", "web.image"],
                   cwd=tmp_path, check=True, timeout=60)
    count = 0
    for page in pages.values():
        for block in page.blocks("sh"):
            for line in block.splitlines():
                words = shlex.split(line, comments=True)
                stop = [at for at, word in enumerate(words) if word in ("&&", "|", ">")]
                words = words[:stop[0]] if stop else words
                # `fairctl dataplane restart` would restart this host's unit.
                if words[:1] != ["fairctl"] or words[1] == "dataplane":
                    continue
                done = subprocess.run([build / PROGRAMS["fairctl"], *words[1:]], cwd=tmp_path, env=environment,
                                      capture_output=True, text=True, timeout=60, check=False)
                offline = words[1] in ("completion", "snapshot") or "--snapshot" in words
                assert done.returncode == (0 if offline else 3), f"man/{page.name}.md: {line}: {done.stderr}"
                count += 1
    assert count >= 25


def test_the_exit_statuses_of_fairctl_are_those_of_its_help(programs):
    footer = programs["fairctl"].help.split("Exit status:")[1]
    told = re.findall(r"^\*\*(\d)\*\*$", read_pages()["fairctl.1"].parts["EXIT STATUS"], re.M)
    assert told == re.findall(r"\b(\d) [a-z]", footer)


def test_every_page_is_built_and_names_pages_that_exist():
    pages = read_pages()
    listed = re.findall(r"'([a-z.-]+\.\d)'", (PAGES / "meson.build").read_text())
    assert sorted(listed) == sorted(pages)
    for page in pages.values():
        assert page.text.startswith(f"% {page.stem.upper()}({page.section}) | Fairlead\n"), page.name
        assert re.search(rf"^{re.escape(page.stem)} - [a-zF]", page.parts["NAME"], re.M), page.name
        for stem, section in re.findall(r"\*\*([a-z.-]+)\*\*\((\d)\)", page.text):
            assert f"{stem}.{section}" in pages, f"man/{page.name}.md names {stem}({section})"
        assert "SEE ALSO" in page.parts and "EXAMPLES" in page.parts, page.name


@pytest.mark.skipif(shutil.which("pandoc") is None or shutil.which("man") is None, reason="no pandoc, or no man")
def test_pages_are_formatted_without_warnings(tmp_path):
    for page in read_pages().values():
        target = tmp_path / page.name
        subprocess.run(["pandoc", "--standalone", "--from", "markdown-smart", "--to", "man", PAGES / f"{page.name}.md",
                        "--output", target], check=True, timeout=60)
        done = subprocess.run(["man", "--warnings", "-l", target], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""},
                              check=True)
        assert done.stderr == "" and "SEE ALSO" in done.stdout, f"{page.name}: {done.stderr}"


# ---- the comparison itself -------------------------------------------------------------------------------------------

@pytest.fixture
def one_page():
    return read_pages()["fairctl-backend.1"].text


@pytest.mark.parametrize("old, new, complaint", [
    ("**--vlan** *ID*\n", "**--vlan-id** *ID*\n", "fairctl backend add: --vlan is not described"),
    ("**--vlan** *ID*\n", "**--vlan**, **--tag** *ID*\n", "fairctl backend add has no option --tag"),
    ("## fairctl backend set", "## fairctl backend change", "there is no command fairctl backend change"),
    ("*BACKEND* *WEIGHT*\n", "*BACKEND*\n", "SYNOPSIS of fairctl backend weight"),
    ("| **fairctl backend list** *SERVICE*\n", "", "SYNOPSIS of fairctl backend list"),
])
def test_a_difference_of_a_command_is_reported(programs, one_page, old, new, complaint):
    assert old in one_page
    pages = {**read_pages(), "fairctl-backend.1": Page("fairctl-backend.1", one_page.replace(old, new))}
    assert any(complaint in each for each in command_complaints(programs, pages))


def test_a_missing_page_and_an_unknown_page_are_reported(programs):
    pages = read_pages()
    pages["fairctl-stat.1"] = pages.pop("fairctl-stats.1")
    found = command_complaints(programs, pages)
    assert "man/fairctl-stats.1.md: missing" in found
    assert "man/fairctl-stat.1.md: no program and no command has this name" in found


def test_an_unknown_option_in_a_sentence_is_reported(programs, one_page):
    pages = {"fairctl-backend.1": Page("fairctl-backend.1", one_page + "\nWith **--no-such** it waits.\n")}
    assert mention_complaints(programs, pages) == [
        "man/fairctl-backend.1.md mentions --no-such, which no program has"]


def test_a_difference_of_keys_is_reported():
    page = Page("x.yaml.5", "# KEYS\n\n## Keys of the file\n\n**a**\n:   A.\n\n**b**\n:   B.\n")
    assert key_complaints({"": ["a", "b"]}, page) == []
    assert key_complaints({"": ["a"]}, page) == ["man/x.yaml.5.md: Keys of the file: there is no key b"]
    assert key_complaints({"": ["a", "b"], "b[]": ["c"]}, page) == [
        "man/x.yaml.5.md: Keys of b[]: c is not described"]
