/* Judges one frame: is it a tunnel packet from a balancer, is it valid, and where does the inner
 * packet begin? The XDP and the TC program share this. They differ in how they remove bytes.
 *
 * A worked packet, GUE over IPv4 around IPv6 (bytes):
 *   0  Ethernet 14 | 14 IPv4 20, protocol 17 | 34 UDP 8, to 6080 | 42 GUE 4 | 46 IPv6 ...
 * gives AGENT_gue_delivered, l2_bytes 14, strip_bytes 32, inner version 6: bytes 14 to 45 are
 * removed, and the Ethernet header's type becomes 0x86dd.
 *
 * The checks have this order, and the first that fails decides: is it a tunnel packet; is its
 * source a balancer; the outer header; the GUE header; the inner packet; ECN. So a sender that is
 * no balancer cannot make the agent read GUE and inner headers.
 */
#pragma once

enum {
  GUE_BASE_BYTES = 4,
  GUE_MAX_OPTIONAL_BYTES = 31 * 4,
  UDP_BYTES = 8,
  ECN_MASK = 3,
  ECN_ECT1 = 1,
  ECN_ECT0 = 2,
  ECN_CE = 3,
  IP_FRAGMENT_BITS = 0x3fff, /* more fragments, and the offset */
};

struct judgement {
  struct candidates candidates;
  __u32 l2_bytes;
  __u32 strip_bytes; /* outer IP header up to the inner one; 0 unless delivered */
  __u8 outer_version;
  __u8 inner_version;
};

/* The outer packet as far as it has been read. */
struct outer {
  void* network;
  void* payload;
  __u32 payload_bytes; /* as the outer header says */
  __u8 protocol;
  __u8 ecn;
  __u8 fragment;
  __u8 options;
  __u8 malformed;
  __u8 version;
  __u8 by_peer; /* from another backend, not from a balancer */
  void* data;   /* GUE's private data */
  __u32 data_bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, AGENT_MAX_BALANCERS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct agent_prefix4);
  __type(value, __u8);
} balancers4 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, AGENT_MAX_BALANCERS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct agent_prefix6);
  __type(value, __u8);
} balancers6 SEC(".maps");

/* Backends whose forwarded packets are accepted (second chance). */
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, AGENT_MAX_BALANCERS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct agent_prefix4);
  __type(value, __u8);
} peers4 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, AGENT_MAX_BALANCERS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct agent_prefix6);
  __type(value, __u8);
} peers6 SEC(".maps");

/* Destinations of inner packets. The SYN-ACK program clamps packets from these addresses. Only
 * packets from balancers and peers add entries. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, AGENT_MAX_FRONTENDS);
  __type(key, struct agent_address);
  __type(value, __u8);
} seen_frontends SEC(".maps");

const volatile struct agent_settings settings;

/* Is the source in these prefixes? REQUIRES a whole outer header, which judge() checks. */
static __always_inline int from_one_of(const struct outer* outer, void* prefixes4,
                                       void* prefixes6) {
  if (outer->version == 4) {
    struct agent_prefix4 key = {.length_bits = 32};
    __builtin_memcpy(key.address, &((const struct iphdr*)outer->network)->saddr, 4);
    return bpf_map_lookup_elem(prefixes4, &key) != NULL;
  }
  struct agent_prefix6 key = {.length_bits = 128};
  __builtin_memcpy(key.address, &((const struct ipv6hdr*)outer->network)->saddr, 16);
  return bpf_map_lookup_elem(prefixes6, &key) != NULL;
}

static __always_inline __u8 ecn_of6(const struct ipv6hdr* ip) {
  return (((const __u8*)ip)[1] >> 4) & ECN_MASK;
}

/* RFC 1071 over a header without options; 0 if the header's own checksum is right. */
static __always_inline __u16 header_sum(const struct iphdr* ip) {
  const __u16* words = (const __u16*)ip;
  __u32 sum = 0;
#pragma unroll
  for (int i = 0; i < 10; ++i) sum += words[i];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)~sum;
}

static __always_inline int is_ipip(__u8 protocol) {
  return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6;
}

/* False if the packet cannot be one that the agent decapsulates. */
static __always_inline int may_be_tunnel(__u8 protocol) {
  return is_ipip(protocol) || (settings.gue_port != 0 && protocol == IPPROTO_UDP);
}

/* REQUIRES a whole header at `ip`. `remaining_bytes`: from `ip` to the frame's end. */
static __always_inline void read_outer4(struct iphdr* ip, __u32 remaining_bytes,
                                        struct outer* outer) {
  __u32 total_bytes = bpf_ntohs(ip->tot_len);
  outer->version = 4;
  outer->network = ip;
  outer->protocol = ip->protocol;
  outer->ecn = ip->tos & ECN_MASK;
  outer->fragment = (ip->frag_off & bpf_htons(IP_FRAGMENT_BITS)) != 0;
  outer->options = ip->ihl > 5;
  outer->payload = ip + 1;
  outer->payload_bytes = total_bytes - sizeof(*ip);
  outer->malformed = ip->version != 4 || ip->ihl < 5 || total_bytes < sizeof(*ip) ||
                     total_bytes > remaining_bytes || (ip->ihl == 5 && header_sum(ip) != 0);
}

static __always_inline void read_outer6(struct ipv6hdr* ip, __u32 remaining_bytes, void* end,
                                        struct outer* outer) {
  outer->version = 6;
  outer->network = ip;
  outer->protocol = ip->nexthdr;
  outer->ecn = ecn_of6(ip);
  outer->payload = ip + 1;
  outer->payload_bytes = bpf_ntohs(ip->payload_len);
  outer->malformed = ip->version != 6 || outer->payload_bytes + sizeof(*ip) > remaining_bytes;
  /* RFC 8200, 4.5: the fragment header's first byte is the protocol that it carries. */
  const __u8* fragmented = (const __u8*)(ip + 1);
  if (ip->nexthdr == IPPROTO_FRAGMENT && (void*)(fragmented + 1) <= end) {
    outer->fragment = 1;
    outer->protocol = *fragmented;
  }
}

/* Classifies the outer packet. Returns the counter of a final answer, or AGENT_ipip_delivered or
 * AGENT_gue_delivered for "continue as that". The host's other UDP traffic costs a comparison of
 * the port, not a prefix lookup. */
static __always_inline enum agent_counter classify(struct outer* outer, void* end) {
  const struct udphdr* udp = outer->payload;
  enum agent_counter as_tunnel = AGENT_ipip_delivered;
  enum agent_counter as_foreign = settings.strict ? AGENT_not_a_balancer : AGENT_foreign_ipip;
  if (!is_ipip(outer->protocol)) {
    as_tunnel = AGENT_gue_delivered;
    if (outer->fragment || outer->options) {
      /* The UDP port is not at its usual offset, so it is not known whether this is GUE. The kernel
       * gets it, unless it is from a balancer. */
      as_foreign = AGENT_not_a_tunnel;
    } else {
      if ((void*)(udp + 1) > end || udp->dest != bpf_htons(settings.gue_port))
        return AGENT_not_a_tunnel;
      as_foreign = AGENT_not_a_balancer;
    }
  }
  if (!from_one_of(outer, &balancers4, &balancers6)) {
    if (!settings.second_chance || as_tunnel != AGENT_gue_delivered ||
        !from_one_of(outer, &peers4, &peers6))
      return as_foreign;
    outer->by_peer = 1;
  }
  if (outer->malformed) return AGENT_outer_malformed;
  if (outer->fragment) return AGENT_outer_fragment;
  return outer->options ? AGENT_outer_options : as_tunnel;
}

/* Steps over UDP and GUE to the inner packet. Returns AGENT_gue_delivered or the counter that says
 * why not. The bytes after the base header (hlen) are private data, because the agent accepts no
 * flag that would use them. They hold the candidate list of second chance (candidates.bpf.h). */
static __always_inline enum agent_counter step_over_gue(struct outer* outer, void* end) {
  const struct udphdr* udp = outer->payload;
  const __u8* gue = (const __u8*)(udp + 1);
  if ((const void*)(gue + GUE_BASE_BYTES) > end) return AGENT_outer_malformed;
  __u32 udp_bytes = bpf_ntohs(udp->len);
  if (udp_bytes > outer->payload_bytes || udp_bytes < UDP_BYTES + GUE_BASE_BYTES)
    return AGENT_outer_malformed;
  if (gue[0] >> 6 != 0) return AGENT_gue_variant;
  if (gue[0] & 0x20) return AGENT_gue_control;
  if (gue[2] != 0 || gue[3] != 0) return AGENT_gue_flags;
  if (!is_ipip(gue[1])) return AGENT_gue_protocol;
  __u32 optional_bytes = (gue[0] & 0x1fU) * 4;
  if (udp_bytes < UDP_BYTES + GUE_BASE_BYTES + optional_bytes) return AGENT_outer_malformed;
  outer->data = (void*)(gue + GUE_BASE_BYTES);
  outer->data_bytes = optional_bytes;
  outer->protocol = gue[1];
  outer->payload = (void*)(gue + GUE_BASE_BYTES) + optional_bytes;
  outer->payload_bytes = udp_bytes - UDP_BYTES - GUE_BASE_BYTES - optional_bytes;
  return AGENT_gue_delivered;
}

/* RFC 6040, 4.2: the ECN field to deliver; -1 = drop. */
static __always_inline int merge_ecn(__u8 outer, __u8 inner) {
  if (outer == ECN_CE) return inner == 0 ? -1 : ECN_CE;
  if (outer == ECN_ECT1 && inner == ECN_ECT0) return ECN_ECT1;
  return inner;
}

static __always_inline void remember_frontend(__u8 version, const void* address) {
  if (settings.clamp_mss == 0) return;
  struct agent_address key = {.version = version};
  if (version == 4)
    __builtin_memcpy(key.bytes, address, 4);
  else
    __builtin_memcpy(key.bytes, address, 16);
  const __u8 value = 1;
  if (!bpf_map_lookup_elem(&seen_frontends, &key))
    bpf_map_update_elem(&seen_frontends, &key, &value, BPF_ANY);
}

/* These two return `delivered`, or the counter that says why not. In the packet they write only the
 * ECN field, and the checksum that covers it. */
static __always_inline enum agent_counter accept_inner4(struct iphdr* ip, const struct outer* outer,
                                                        void* end, enum agent_counter delivered) {
  if ((void*)(ip + 1) > end || outer->payload_bytes < sizeof(*ip)) return AGENT_inner_malformed;
  __u32 total_bytes = bpf_ntohs(ip->tot_len);
  if (ip->version != 4 || ip->ihl < 5 || total_bytes < ip->ihl * 4U ||
      total_bytes > outer->payload_bytes)
    return AGENT_inner_malformed;
  int ecn = merge_ecn(outer->ecn, ip->tos & ECN_MASK);
  if (ecn < 0) return AGENT_ecn_illegal;
  if (ecn != (ip->tos & ECN_MASK)) {
    /* RFC 1624, equation 3, on the 16 bits that hold version, IHL and TOS. */
    __u16* word = (__u16*)ip;
    __u32 sum = (__u16)~ip->check + (__u32)(__u16) ~*word;
    ip->tos = (ip->tos & ~ECN_MASK) | (__u8)ecn;
    sum += *word;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip->check = (__u16)~sum;
  }
  remember_frontend(4, &ip->daddr);
  return delivered;
}

static __always_inline enum agent_counter accept_inner6(struct ipv6hdr* ip,
                                                        const struct outer* outer, void* end,
                                                        enum agent_counter delivered) {
  if ((void*)(ip + 1) > end || outer->payload_bytes < sizeof(*ip)) return AGENT_inner_malformed;
  if (ip->version != 6 || bpf_ntohs(ip->payload_len) + sizeof(*ip) > outer->payload_bytes)
    return AGENT_inner_malformed;
  int ecn = merge_ecn(outer->ecn, ecn_of6(ip));
  if (ecn < 0) return AGENT_ecn_illegal;
  __u8* class_low = (__u8*)ip + 1;
  if (ecn != ecn_of6(ip)) *class_low = (*class_low & ~(ECN_MASK << 4)) | (__u8)(ecn << 4);
  remember_frontend(6, &ip->daddr);
  return delivered;
}

/* Returns the network header, after one VLAN tag at most, and its ethertype. Returns NULL if the
 * frame ends before it. After a second tag judge() finds no tunnel. */
static __always_inline void* skip_ethernet(void* begin, void* end, __be16* ethertype) {
  struct ethhdr* ethernet = begin;
  if ((void*)(ethernet + 1) > end) return NULL;
  *ethertype = ethernet->h_proto;
  if (*ethertype != bpf_htons(ETH_P_8021Q) && *ethertype != bpf_htons(ETH_P_8021AD))
    return ethernet + 1;
  __be16* tag = (__be16*)(ethernet + 1); /* control information, then the next ethertype */
  if ((void*)(tag + 2) > end) return NULL;
  *ethertype = tag[1];
  return tag + 2;
}

/* `frame_bytes` exceeds end - begin if the rest of the frame is in fragments of an skb. */
static __always_inline enum agent_counter judge(void* begin, void* end, __u32 frame_bytes,
                                                struct judgement* judgement) {
  struct outer outer = {};
  __be16 ethertype = 0;
  void* network = skip_ethernet(begin, end, &ethertype);
  if (!network) return AGENT_not_a_tunnel;
  judgement->l2_bytes = (__u32)(network - begin);
  __u32 remaining_bytes = frame_bytes - judgement->l2_bytes;
  if (ethertype == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip = network;
    if ((void*)(ip + 1) > end || !may_be_tunnel(ip->protocol)) return AGENT_not_a_tunnel;
    read_outer4(ip, remaining_bytes, &outer);
  } else if (ethertype == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip = network;
    if ((void*)(ip + 1) > end) return AGENT_not_a_tunnel;
    read_outer6(ip, remaining_bytes, end, &outer);
    if (!may_be_tunnel(outer.protocol)) return AGENT_not_a_tunnel;
  } else {
    return AGENT_not_a_tunnel;
  }
  enum agent_counter answer = classify(&outer, end);
  if (answer == AGENT_gue_delivered) answer = step_over_gue(&outer, end);
  if (answer != AGENT_gue_delivered && answer != AGENT_ipip_delivered) return answer;
  if (settings.second_chance && answer == AGENT_gue_delivered)
    read_candidates(begin, outer.data, end, outer.data_bytes, outer.version,
                    &judgement->candidates);
  /* A peer only sends on packets of balancers. In such a packet `next` is at least 1. */
  if (outer.by_peer && judgement->candidates.next == 0) return AGENT_not_a_balancer;
  judgement->outer_version = outer.version;
  judgement->inner_version = outer.protocol == IPPROTO_IPIP ? 4 : 6;
  judgement->strip_bytes = (__u32)(outer.payload - network);
  if (judgement->inner_version == 4) return accept_inner4(outer.payload, &outer, end, answer);
  return accept_inner6(outer.payload, &outer, end, answer);
}
