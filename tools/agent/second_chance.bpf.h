/* What the TC program does with a packet that has candidates left. It delivers the packet if it
 * belongs to this backend, and else sends it on to the next candidate. Only at TC can the kernel
 * look up the neighbour (bpf_redirect_neigh). */
#pragma once

enum { TCP_STATE_LISTEN = 10 };

/* True if a socket of this host knows the packet. */
static __always_inline int socket_knows(struct __sk_buff* skb, struct bpf_sock_tuple* tuple,
                                        __u32 tuple_bytes, void* ip, __u32 ip_bytes,
                                        struct tcphdr* tcp) {
  struct bpf_sock* sock = bpf_skc_lookup_tcp(skb, tuple, tuple_bytes, BPF_F_CURRENT_NETNS, 0);
  if (!sock) return 0;
  int knows = sock->state != TCP_STATE_LISTEN ||
              bpf_tcp_check_syncookie(sock, ip, ip_bytes, tcp, sizeof(*tcp)) == 0;
  bpf_sk_release(sock);
  return knows;
}

/* True if the packet belongs to this backend. So does a packet that is not TCP or cannot be read:
 * no other backend knows more about it. */
static __always_inline int is_ours4(struct __sk_buff* skb, __u32 at) {
  struct iphdr ip;
  struct tcphdr tcp;
  struct bpf_sock_tuple tuple = {};
  if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) != 0) return 1;
  if (ip.protocol != IPPROTO_TCP || (ip.frag_off & bpf_htons(IP_FRAGMENT_BITS)) != 0) return 1;
  if (bpf_skb_load_bytes(skb, at + ip.ihl * 4U, &tcp, sizeof(tcp)) != 0) return 1;
  if (tcp.syn && !tcp.ack) return 1;
  tuple.ipv4.saddr = ip.saddr;
  tuple.ipv4.daddr = ip.daddr;
  tuple.ipv4.sport = tcp.source;
  tuple.ipv4.dport = tcp.dest;
  return socket_knows(skb, &tuple, sizeof(tuple.ipv4), &ip, sizeof(ip), &tcp);
}

static __always_inline int is_ours6(struct __sk_buff* skb, __u32 at) {
  struct ipv6hdr ip;
  struct tcphdr tcp;
  struct bpf_sock_tuple tuple = {};
  if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) != 0) return 1;
  if (ip.nexthdr != IPPROTO_TCP) return 1;
  if (bpf_skb_load_bytes(skb, at + sizeof(ip), &tcp, sizeof(tcp)) != 0) return 1;
  if (tcp.syn && !tcp.ack) return 1;
  __builtin_memcpy(tuple.ipv6.saddr, &ip.saddr, 16);
  __builtin_memcpy(tuple.ipv6.daddr, &ip.daddr, 16);
  tuple.ipv6.sport = tcp.source;
  tuple.ipv6.dport = tcp.dest;
  return socket_knows(skb, &tuple, sizeof(tuple.ipv6), &ip, sizeof(ip), &tcp);
}

/* Rewrites the outer header: source is this backend, destination the candidate. Returns 0 on
 * success, 1 if the candidate is this backend, a negative number on failure. */
static __always_inline int readdress4(struct __sk_buff* skb, __u32 l2_bytes, __u32 candidate_at) {
  struct iphdr ip;
  __be32 candidate;
  if (bpf_skb_load_bytes(skb, l2_bytes, &ip, sizeof(ip)) != 0 ||
      bpf_skb_load_bytes(skb, candidate_at, &candidate, sizeof(candidate)) != 0)
    return -1;
  if (candidate == ip.daddr) return 1;
  if (ip.ttl <= 1) return -1;
  --ip.ttl;
  ip.saddr = ip.daddr;
  ip.daddr = candidate;
  ip.check = 0;
  ip.check = header_sum(&ip);
  return (int)bpf_skb_store_bytes(skb, l2_bytes, &ip, sizeof(ip), 0);
}

static __always_inline int readdress6(struct __sk_buff* skb, __u32 l2_bytes, __u32 candidate_at) {
  struct ipv6hdr ip;
  struct in6_addr candidate;
  if (bpf_skb_load_bytes(skb, l2_bytes, &ip, sizeof(ip)) != 0 ||
      bpf_skb_load_bytes(skb, candidate_at, &candidate, sizeof(candidate)) != 0)
    return -1;
  __u32 difference = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i)
    difference |= candidate.in6_u.u6_addr32[i] ^ ip.daddr.in6_u.u6_addr32[i];
  if (difference == 0) return 1;
  if (ip.hop_limit <= 1) return -1;
  --ip.hop_limit;
  ip.saddr = ip.daddr;
  ip.daddr = candidate;
  return (int)bpf_skb_store_bytes(skb, l2_bytes, &ip, sizeof(ip), 0);
}

enum chance { CHANCE_ours, CHANCE_sent_on, CHANCE_failed };

/* REQUIRES a packet that judge() would deliver. */
static __always_inline enum chance second_chance(struct __sk_buff* skb,
                                                 const struct judgement* judgement) {
  const struct candidates* list = &judgement->candidates;
  if (list->offset == 0 || list->next >= list->count) return CHANCE_ours;
  __u32 inner_at = judgement->l2_bytes + judgement->strip_bytes;
  if (judgement->inner_version == 4 ? is_ours4(skb, inner_at) : is_ours6(skb, inner_at))
    return CHANCE_ours;
  __u32 address_bytes = judgement->outer_version == 6 ? 16 : 4;
  int result = 1; /* as of readdress4 */
  __u8 next = list->next;
  for (int i = 0; i < LIST_MAX && result == 1; ++i) {
    if (next >= list->count) return CHANCE_ours;
    __u32 candidate_at = list->offset + LIST_HEADER_BYTES + next * address_bytes;
    ++next;
    result = judgement->outer_version == 4 ? readdress4(skb, judgement->l2_bytes, candidate_at)
                                           : readdress6(skb, judgement->l2_bytes, candidate_at);
  }
  if (result != 0) return result == 1 ? CHANCE_ours : CHANCE_failed;
  /* The UDP checksum covers what has just changed. Zero = no checksum, for both families (RFC
   * 6935). */
  __be16 no_checksum = 0;
  __u32 udp_at = judgement->l2_bytes +
                 (judgement->outer_version == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
  if (bpf_skb_store_bytes(skb, udp_at + __builtin_offsetof(struct udphdr, check), &no_checksum,
                          sizeof(no_checksum), 0) != 0 ||
      bpf_skb_store_bytes(skb, list->offset + LIST_NEXT_AT, &next, sizeof(next), 0) != 0)
    return CHANCE_failed;
  return CHANCE_sent_on;
}
