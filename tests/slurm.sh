#!/usr/bin/env bash
# A Slurm of this machine alone, without systemd, cgroups or a database: tests/slurm.sh start|stop FOLDER
# Everything it writes is in FOLDER; commands find it through SLURM_CONF=FOLDER/slurm.conf. As root.
set -euo pipefail
folder=$(realpath "$2")

start() {
  host=$(hostname -s)
  mkdir -p "$folder"/{state,spool}
  dd if=/dev/urandom of="$folder/munge.key" bs=128 count=1 status=none
  chmod 600 "$folder/munge.key"
  cat > "$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
SlurmctldPort=$3
SlurmdPort=$4
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
KillWait=5
ReturnToService=2
# Two slots, however many cores there are: two jobs at once.
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES State=UP
END
  plugin=disabled
  if slurmctld -V | grep -q ' 22'; then plugin=cgroup/v1; fi # which cannot do without one
  echo "CgroupPlugin=$plugin" > "$folder/cgroup.conf"
  munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
  slurmctld -f "$folder/slurm.conf"
  slurmd -f "$folder/slurm.conf" -N "$host"
  for _ in $(seq 100); do
    if SLURM_CONF="$folder/slurm.conf" sinfo --noheader --format %t | grep -q idle; then return; fi
    sleep 0.2
  done
  tail -n 5 "$folder/slurmd.log" >&2
  exit 1
}

stop() {
  for daemon in slurmd slurmctld munged; do
    test -s "$folder/$daemon.pid" || continue
    pid=$(cat "$folder/$daemon.pid")
    kill "$pid" 2> /dev/null || continue
    timeout 20 tail --pid="$pid" -f /dev/null || kill -9 "$pid"
  done
}

"$1" "$@"
