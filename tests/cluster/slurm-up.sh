#!/bin/sh
# Brings up a real Slurm on one machine: the controller and two nodes, n1 and n2, of four CPUs each.
#
# usage: slurm-up.sh DIR     as root; then: export SLURM_CONF=DIR/slurm.conf
#
# It needs no cgroups and no systemd. Run it in namespaces of its own for processes and the network
# (unshare --net --pid --fork --kill-child --mount-proc): then no port is taken, and all daemons end
# with the first process there. Debian has it as slurmctld, slurmd, slurm-client, munge and iproute2.
set -eu
dir=${1:?a folder}
host=$(hostname)
PATH=$PATH:/usr/sbin:/sbin

# Addresses are looked up only where there is one beside 127.0.0.1.
ip link set lo up
ip address add 192.0.2.1/32 dev lo 2>/dev/null || true
mkdir -p "$dir/munge" "$dir/state" "$dir/spool.n1" "$dir/spool.n2"
chmod 755 "$dir" "$dir/munge"
head -c 1024 /dev/urandom > "$dir/munge/key"
chmod 400 "$dir/munge/key"
munged --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
    --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"

# A job that is requeued waits for as long as credentials last. KillWait is the time between TERM and
# KILL. The nodes may have more CPUs than the machine.
cat > "$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=300
KillWait=30
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=6828 CPUs=4 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=6829 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF

export SLURM_CONF="$dir/slurm.conf"
slurmctld -c
slurmd -N n1
slurmd -N n2
until [ "$(sinfo --noheader --states=idle --format=%D 2>/dev/null)" = 2 ]; do sleep 0.1; done
