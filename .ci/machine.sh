# shellcheck shell=bash
# Gets a machine ready: the Debian packages that the tests and .ci/run need, and a container engine. To be sourced.
# Wants a folder in $scratch. An engine that it starts has its process id in $engine_pid; the caller ends it.

export DEBIAN_FRONTEND=noninteractive
ENGINE_TIMEOUT=60    # seconds
engine_pid=

fail() {
  echo "error: $1" >&2
  shift
  for note in "$@"; do echo "  = $note" >&2; done
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo --preserve-env=DEBIAN_FRONTEND "$@"; fi
}

install_packages() {
  command -v cargo >/dev/null || fail "cargo is missing" "help: install Rust 1.95 or newer"
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    rustup component add rustfmt clippy
  fi

  local wanted=(busybox-static ca-certificates curl debian-archive-keyring docker-registry git iproute2 mmdebstrap postgresql-15 python3-venv)
  command -v cc >/dev/null || wanted+=(gcc libc6-dev)
  command -v docker >/dev/null || wanted+=(docker.io)
  # The engine loads a profile with it wherever the kernel has AppArmor on.
  if grep -qs Y /sys/module/apparmor/parameters/enabled; then wanted+=(apparmor); fi
  local missing=() package
  for package in "${wanted[@]}"; do
    dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then echo "all there"; return; fi

  echo "missing: ${missing[*]}"
  as_root apt-get update -qq
  # The tests start servers of their own: the package's would only hold port 5432.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    as_root mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  if [[ " ${missing[*]} " == *" postgresql-15 "* ]] && ! has_candidate postgresql-15; then
    as_root apt-get install -y -qq --no-install-recommends postgresql-common
    as_root /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y
  fi
  as_root apt-get install -y -qq "${missing[@]}" >"$scratch/apt.log" 2>&1 || {
    tail -n 30 "$scratch/apt.log" >&2
    fail "apt-get could not install ${missing[*]}"
  }
  echo "installed ${#missing[@]} packages"
}

has_candidate() {
  LC_ALL=C apt-cache policy "$1" | grep -q 'Candidate: [^(]'
}

start_engine() {
  if engine_answers; then engine_version; return; fi
  command -v dockerd >/dev/null || as_root apt-get install -y -qq docker.io >/dev/null
  # Installing it may have started it.
  if engine_answers; then engine_version; return; fi
  if [ "$(id -u)" -ne 0 ]; then
    fail "no container engine answers" "help: start it, or run as root so that this script can"
  fi
  dockerd >"$scratch/dockerd.log" 2>&1 &
  engine_pid=$!
  local waited=0
  until engine_answers; do
    if ! kill -0 "$engine_pid" 2>/dev/null || [ "$waited" -ge $((ENGINE_TIMEOUT * 5)) ]; then
      tail -n 30 "$scratch/dockerd.log" >&2
      fail "the container engine does not start" "the tests and \`up\` need one"
    fi
    sleep 0.2
    waited=$((waited + 1))
  done
  echo "started dockerd"
  engine_version
}

engine_answers() {
  docker version >/dev/null 2>&1
}

engine_version() {
  docker version --format 'engine {{.Server.Version}}, API {{.Server.APIVersion}}'
}
