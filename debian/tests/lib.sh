# A client and a backend, each in a network namespace, and this host as the balancer between. A bridge in a namespace of
# its own connects them. Sourced. Everything is removed at the end of the test.
set -eu
vip=203.0.113.10
server=""

remove_network() {
  [ -z "$server" ] || kill "$server" || true
  fairctl service remove probe >/dev/null || true
  ip route del blackhole $vip/32 2>/dev/null || true
  systemctl stop fairlead-dataplane || true
  for name in fl-client fl-backend fl-switch; do ip netns del "$name" 2>/dev/null || true; done
}

# plug NAME ADDRESS MAC [NAMESPACE]: an interface NAME of this host or of a namespace, on the bridge.
plug() {
  ip link add "$1" address "$3" type veth peer name "$1" netns fl-switch
  ip -n fl-switch link set "$1" master fl-br0 up
  ip netns exec fl-switch ethtool -K "$1" tx off rx off tso off gso off gro off >/dev/null
  ethtool -K "$1" tx off rx off tso off gso off gro off >/dev/null
  in=""
  if [ -n "${4:-}" ]; then
    ip netns add "$4"
    ip link set "$1" netns "$4"
    ip -n "$4" link set lo up
    in="-n $4"
  fi
  # shellcheck disable=SC2086  # two words, or none
  ip $in link set "$1" up && ip $in address add "$2/24" dev "$1"
}

make_network() {
  trap remove_network EXIT
  ip netns add fl-switch
  ip -n fl-switch link add fl-br0 type bridge mcast_snooping 0
  ip -n fl-switch link set fl-br0 up
  plug eth-fl 10.77.0.2 02:00:00:00:77:02
  plug eth-client 10.77.0.7 02:00:00:00:77:07 fl-client
  plug eth-backend 10.77.0.11 02:00:00:00:77:11 fl-backend
  # The kernel sees the frontend's packets too. It must not answer them.
  ip route replace blackhole $vip/32
  ip -n fl-client route add $vip/32 via 10.77.0.2
  ip -n fl-backend address add $vip/32 dev lo
  ip netns exec fl-backend python3 -m http.server --bind 0.0.0.0 80 --directory /usr/share/doc >/dev/null 2>&1 &
  server=$!
}

start_balancer() {
  echo 'ports: [{name: wan, device: "af_packet:eth-fl"}]' >/etc/fairlead/dataplane.yaml
  echo 'FAIRLEAD_DATAPLANE_OPTIONS="-- --no-huge"' >/etc/default/fairlead-dataplane
  systemctl start fairlead-dataplane
  fairctl service add probe --frontend $vip:80/tcp --backend 10.77.0.11
}

# Waits until a request through the balancer is answered.
wait_answered() {
  for _ in $(seq 60); do
    if ip netns exec fl-client curl -s -o /dev/null --max-time 2 http://$vip/; then return; fi
    sleep 1
  done
  echo "no request is answered" >&2
  fairctl status >&2 || true
  journalctl --no-pager -n 50 -u fairleadd -u fairlead-dataplane >&2
  exit 1
}
