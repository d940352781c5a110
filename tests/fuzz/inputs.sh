# Sourced by run.sh and corpus.sh: the fuzzers' names, seeds and corpora.
fuzz_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fuzzers_of() {  # BUILD_DIR: the names of its fuzzers
  local program
  for program in "$1"/tests/fuzz/*_fuzzer; do
    [ ! -x "$program" ] || basename "${program%_fuzzer}"
  done
}

write_seeds() {  # BUILD_DIR NAME FOLDER: runs NAME_seeds if there is one
  if [ -x "$1/tests/fuzz/$2_seeds" ]; then "$1/tests/fuzz/$2_seeds" "$3"; fi
}

unpack_corpus() {  # NAME FOLDER: the committed corpus
  tar -xzf "$fuzz_folder/corpus/$1.tar.gz" -C "$2"
}
