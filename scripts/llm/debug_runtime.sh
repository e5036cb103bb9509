#!/usr/bin/env bash
# debug_runtime.sh [SERVER…]: what a report of a fault needs, without secrets.
#
# Processes, open files, ports, GPU, unit and the last lines of the logs of Ollama and
# vLLM (or of the servers named). Changes nothing, needs no root, and says so where a
# tool is missing or a thing may not be seen. Exit code 0 always, 2 for wrong arguments.
#
#   VENOM_DATA_DIR       data folder, default: data beside manage.py
#   VENOM_SYSTEMD_SCOPE  system or user
#   LINES_OF_LOG         default 60
set -euo pipefail

home=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
data=${VENOM_DATA_DIR:-$home/data}
case $data in /*) ;; *) data=$home/$data ;; esac
lines=${LINES_OF_LOG:-60}
scope=()
[ "${VENOM_SYSTEMD_SCOPE:-system}" = user ] && scope=(--user)

has() { command -v "$1" >/dev/null 2>&1; }
title() { printf '\n== %s\n' "$*"; }
none() { printf '(%s)\n' "$*"; }

# A command that may take long, fail or be missing; at most ten seconds of it.
try() {
  if ! has "$1"; then none "$1 is not installed"; return 0; fi
  local code=0
  if has timeout; then timeout 10 "$@" 2>&1 || code=$?; else "$@" 2>&1 || code=$?; fi
  [ "$code" -eq 0 ] || none "$1 ended with code $code"
}

# What looks like a credential, wherever it stands: a login in an address, a named
# value, an argument that is one, and keys by their shape.
without_secrets() {
  sed -E \
    -e 's#(://[^/[:space:]:@]*:)[^/[:space:]@]*@#\1***@#g' \
    -e 's#((bearer|basic)[[:space:]]+)[^[:space:]"'"'"']{4,}#\1***#Ig' \
    -e 's#(--?[a-z0-9-]*(api-?key|token|password|secret)[[:space:]=]+)[^[:space:]]+#\1***#Ig' \
    -e 's#([A-Za-z0-9_-]*(api[_-]?key|token|password|passwd|secret)["'"'"']?[[:space:]]*[=:][[:space:]]*["'"'"']?)[^[:space:]"'"'"'&,;@]{4,}#\1***#Ig' \
    -e 's#(venom_|sk-|hf_|AIza)[A-Za-z0-9_-]{8,}#\1***#g'
}

# Pids whose command line belongs to a server: what the unit or the launch file's note
# names, and the titles that vLLM's children give themselves. Only looked at.
pids_of() {
  local server=$1 pid
  {
    if has systemctl; then
      systemctl ${scope[@]+"${scope[@]}"} show --property=MainPID --value "$server.service" 2>/dev/null || true
    fi
    if [ -r "$data/runtimes/$server.process" ]; then
      awk -F'|' '{print $(NF - 1)}' "$data/runtimes/$server.process"
    fi
    if has ps; then
      ps -eo pid=,args= | awk -v me="$$" -v server="$server" '
        $1 == me || /debug_runtime|awk -v/ { next }
        server == "ollama" && /(^|[ \/])ollama( |$)/ { print $1 }
        server == "vllm" && /VLLM::|vllm serve|vllm\.entrypoints/ { print $1 }'
    fi
  } | sort -un | while read -r pid; do
    if [[ $pid =~ ^[1-9][0-9]*$ ]] && [ -d "/proc/$pid" ]; then printf '%s\n' "$pid"; fi
  done
}

processes() {
  local pids
  pids=$(pids_of "$1" | paste -sd, -)
  if [ -z "$pids" ]; then none "no process of $1 is seen"; return 0; fi
  try ps -o pid,ppid,sid,user,stat,lstart,etime,rss,nlwp,args -p "$pids"
  local pid
  for pid in ${pids//,/ }; do open_files "$pid"; done
}

open_files() {
  local pid=$1 count
  printf '\n-- open files of %s\n' "$pid"
  if ! count=$(find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l) || [ ! -r "/proc/$pid/fd" ]; then
    none "they may not be seen by this user"
    return 0
  fi
  printf '%s open, limit %s\n' "$count" "$(awk '/^Max open files/ {print $4}' "/proc/$pid/limits" 2>/dev/null || true)"
  find "/proc/$pid/fd" -mindepth 1 -printf '%l\n' 2>/dev/null |
    { grep -E '\.(safetensors|gguf|bin|log|sock)|/dev/(nvidia|dri|kfd|shm)|/blobs/' || true; } | sort | uniq -c | head -n 40
  { grep -E '^(Vm(RSS|HWM|Swap|Lck)|Threads)' "/proc/$pid/status" || true; } 2>/dev/null
}

ports() {
  if has ss; then try ss -H -l -t -n -p; elif has netstat; then try netstat -ltnp; else
    none "neither ss nor netstat is installed"
  fi
}

unit() {
  try systemctl ${scope[@]+"${scope[@]}"} --no-pager --full --lines=0 status "$1.service"
  try systemctl ${scope[@]+"${scope[@]}"} --no-pager show "$1.service" \
    --property=LoadState,ActiveState,SubState,Result,MainPID,NRestarts,ExecMainCode,ExecMainStatus,ExecStart,FragmentPath,DropInPaths,MemoryCurrent,NeedDaemonReload,Restart,KillMode,TimeoutStopUSec
}

logs() {
  local server=$1 log="$data/logs/$1.log" flag=--unit
  [ ${#scope[@]} -eq 0 ] || flag=--user-unit
  printf -- '-- %s\n' "$log"
  if [ -r "$log" ]; then tail -n "$lines" "$log"; else none "not there, or not readable by this user"; fi
  printf -- '-- journal of %s.service\n' "$server"
  try journalctl --no-pager "$flag=$server.service" --lines="$lines" --output=short-iso
}

launch() {
  local file="$data/runtimes/$1.json"
  if [ -r "$file" ]; then cat "$file"; else none "$file is not there, or not readable by this user"; fi
}

report() {
  local server
  title "Machine, $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  uname -srm
  try free -m
  try df -hP "$data"
  title GPU
  try nvidia-smi
  title "Ports that listen"
  ports
  for server in "$@"; do
    title "$server: processes"; processes "$server"
    title "$server: unit"; unit "$server"
    title "$server: launch file"; launch "$server"
    title "$server: log"; logs "$server"
  done
}

for server in "$@"; do
  case $server in
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *[!A-Za-z0-9_.-]* | -*) printf 'Usage: debug_runtime.sh [SERVER…]\n' >&2; exit 2 ;;
  esac
done
[ $# -gt 0 ] || set -- ollama vllm
report "$@" 2>&1 | without_secrets
