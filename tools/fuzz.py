#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Run a fuzz target of fuzz/ over its seeds and what earlier runs found.

    fuzz.py [--seconds N | --runs N] [--shard K/N] [--seed S] TARGET
    fuzz.py --reproduce FILE TARGET
    fuzz.py --minimise FILE TARGET
    fuzz.py TARGET --merge DIR...

Without --seconds and --runs it goes on until a finding or Ctrl-C.  Everything is
in the build directory: corpus/TARGET (inputs that reached something new, kept for
the next run), findings/TARGET.  Shard K of N has a random seed and a corpus of its
own, so that any scheduler can spread a campaign; --merge takes from the corpora it
is given what reaches more and adds it to corpus/TARGET.  docs/fuzzing.md has more.
Exit status 0: nothing found, 1: a finding, 2: wrong usage or nothing to run.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import sources

ROOT = sources.ROOT
# The length of an input, and how many of them are enough in `make test`.
TARGETS = {"pgtable": (2048, 800), "ioctl": (768, 1200), "guest": (512, 600),
           "decoder": (20, 100000)}
# Memory that RCU gives back a moment later would look lost after every input.
NO_LEAK_CHECK = {"ioctl", "guest"}
FIGURES = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")


class Usage(Exception):
    """What the user has to know."""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--build", type=Path, default=ROOT / "build-fuzz", metavar="DIR")
    parser.add_argument("--seconds", type=int, default=0, help="stop after this time")
    parser.add_argument("--runs", type=int, default=-1, help="stop after this many inputs")
    parser.add_argument("--smoke", action="store_true",
                        help="a short run from the seeds alone, always the same")
    parser.add_argument("--shard", default="1/1", metavar="K/N", help="this is part K of N")
    parser.add_argument("--seed", type=int, default=1, help="of shard 1; shard K adds K - 1")
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="run this input alone")
    parser.add_argument("--minimise", type=Path, metavar="FILE",
                        help="find a smaller input that fails too")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="DIR",
                        help="corpora of shards to be joined")
    return parser.parse_args()


def parse_shard(text):
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise Usage(f"--shard {text}: want K/N with 1 <= K <= N")
    return int(match[1]), int(match[2])


def program(args):
    path = args.build / f"fuzz/fuzz_{args.target}"
    if not path.exists():
        raise Usage(f"{path} is not there; `make fuzz-{args.target}` builds it")
    return [*same_addresses(), str(path)]


def same_addresses():
    """Compared values guide the fuzzer, addresses among them: fixed, the same seed does nearly the same."""
    fixed = ["setarch", "-R"]
    try:
        works = subprocess.run([*fixed, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        works = False
    return fixed if works else []


def directory(args, *parts):
    path = args.build.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def parse_hex(path):
    """Bytes in hex, # begins a comment."""
    text = "".join(line.split("#")[0] for line in path.read_text().splitlines(True))
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Usage(f"{path}: {error}") from error


def unpack_seeds(args):
    target = directory(args, "seeds", args.target)
    for path in sorted((ROOT / "fuzz/seeds" / args.target).glob("*.hex")):
        (target / path.stem).write_bytes(parse_hex(path))
    return target


def judgement(args):
    """What makes an input a finding: the same when it is shown again as when it was found."""
    return ["-timeout=20", *(["-detect_leaks=0"] if args.target in NO_LEAK_CHECK else [])]


def environment():
    return {**os.environ, "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


def options(args):
    max_len, _ = TARGETS[args.target]
    shard, _ = parse_shard(args.shard)
    found = directory(args, "findings", args.target)
    return [f"-max_len={max_len}", "-len_control=0", f"-artifact_prefix={found}/",
            f"-seed={args.seed + shard - 1}", "-print_final_stats=1", *judgement(args)]


def corpus(args):
    shard, shards = parse_shard(args.shard)
    name = args.target if shards == 1 else f"{args.target}-{shard}of{shards}"
    return directory(args, "corpus", name)


def relay(command, quiet):
    """The fuzzer's output as it comes, or only what matters; exit status and last figures."""
    figures, executions = None, "0"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", env=environment()) as process:
        try:
            for line in process.stdout:
                figures = FIGURES.search(line) or figures
                if line.startswith("stat::number_of_executed_units:"):
                    executions = line.split()[-1]
                if not quiet or process.poll():
                    print(line, end="", flush=True)
        except KeyboardInterrupt:
            process.terminate()
            print(f"\nstopped; what it found is kept in {command[-2]}")
            return 0, figures, executions
    return process.returncode, figures, executions


def fuzz(args):
    limits = []
    if args.smoke:
        kept = directory(args, "corpus", f"{args.target}-smoke")
        for path in kept.iterdir():
            path.unlink()
        limits = [f"-runs={TARGETS[args.target][1]}", "-max_total_time=40"]
    else:
        kept = corpus(args)
        limits += [f"-runs={args.runs}"] if args.runs >= 0 else []
        limits += [f"-max_total_time={args.seconds}"] if args.seconds else []
        print(f"corpus {kept}\nfindings {args.build / 'findings' / args.target}", flush=True)
    status, figures, executions = relay([*program(args), *options(args), *limits, str(kept),
                                         str(unpack_seeds(args))], False)
    if status != 0:
        print(f"fuzz: a finding; `tools/fuzz.py --reproduce FILE {args.target}` shows it again")
        return 1
    coverage = f", {figures[1]} edges, {figures[3]} inputs kept" if figures else ""
    print(f"{executions} executions{coverage}, nothing found")
    return 0


def run_input(args, path, *more):
    """The fuzzer's exit status for one input."""
    if not path.is_file():
        raise Usage(f"{path}: no such file")
    return subprocess.run([*program(args), *judgement(args), *more, str(path)], env=environment(),
                          check=False).returncode


def reproduce(args):
    return 1 if run_input(args, args.reproduce) else 0


def minimise(args):
    smaller = args.minimise.with_suffix(".small")
    if run_input(args, args.minimise, "-minimize_crash=1", "-max_total_time=60",
                 f"-exact_artifact_path={smaller}"):
        raise Usage(f"{args.minimise} does not fail")
    print(f"the smallest is {smaller}" if smaller.exists() else "none is smaller")
    return 0


def merge(args):
    for path in args.merge:
        if not path.is_dir():
            raise Usage(f"{path}: no such directory")
    whole = directory(args, "corpus", args.target)
    before = len(list(whole.iterdir()))
    status, _, _ = relay([*program(args), "-merge=1", *options(args), str(whole),
                          *map(str, args.merge)], True)
    print(f"{whole}: {before} inputs before, {len(list(whole.iterdir()))} now")
    return 1 if status else 0


def main():
    args = parse_arguments()
    try:
        if args.reproduce:
            return reproduce(args)
        if args.minimise:
            return minimise(args)
        return merge(args) if args.merge else fuzz(args)
    except Usage as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
