#!/usr/bin/env bash
# vllm_service.sh start|stop|restart|status; exit codes in service.sh.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
VENOM_SCRIPT=$(basename "$0") exec "$here/service.sh" vllm "$@"
