#!/usr/bin/env bash
# service.sh SERVER start|stop|restart|status: one server, by the code behind the pages.
#
# Exit codes are those of the LSB. start, stop, restart: 0 done (also when there was
# nothing to do), 1 failed, 2 wrong arguments, 5 Venom is not installed here. status:
# 0 running, 1 crashed, 3 not running, 4 unknown. VENOM_PYTHON names another Python.
set -euo pipefail

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
server=${1:-}
action=${2:-}

usage() {
  printf 'Usage: %s start|stop|restart|status\n' "${VENOM_SCRIPT:-service.sh SERVER}" >&2
  exit 2
}

find_python() {
  local candidate
  for candidate in "${VENOM_PYTHON:-}" "$home/.venv/bin/python" python3; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  printf 'There is no Python here. Run: make run\n' >&2
  exit 5
}

if [ $# -ne 2 ] || [ -z "$server" ]; then usage; fi
case $action in
  start | stop | restart) waiting=(--wait) ;;
  status) waiting=() ;;
  *) usage ;;
esac

python=$(find_python)
cd "$home"
if [ ! -f manage.py ]; then
  printf 'There is no Venom in %s.\n' "$home" >&2
  exit 5
fi
exec "$python" manage.py runtimes "$action" "$server" ${waiting[@]+"${waiting[@]}"}
