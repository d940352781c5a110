/* The agent's BPF programs: decapsulation at XDP or at TC ingress, and lowering the MSS of SYN-ACKs
 * at TC egress. fairlead-agent loads the programs that its command line asks for. tunnel.bpf.h says
 * which packets are decapsulated.
 *
 * The inner packet stays unchanged, including its TTL. Only its ECN field may change. The kernel
 * receives the inner packet on the same interface, under the same VLAN tag, with the MAC addresses
 * of the outer frame.
 */
/* clang-format off: linux/bpf.h first, libbpf's headers build on its types. */
#include <linux/bpf.h>
/* clang-format on */
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "tools/agent/agent_shared.h"
/* These need the types above. */
#include "tools/agent/candidates.bpf.h"
#include "tools/agent/tunnel.bpf.h"
/* This needs judge(). */
#include "tools/agent/second_chance.bpf.h"

enum {
  /* Linux 6.3 added these two. An older linux/bpf.h lacks them. */
  ADJ_ROOM_DECAP_L3_IPV4 = 1 << 7,
  ADJ_ROOM_DECAP_L3_IPV6 = 1 << 8,
  /* Ethernet 18 + outer 40 + UDP 8 + GUE 4 + 124 + inner 40. */
  MAX_HEADER_BYTES = 234,
  MAX_TCP_OPTION_BYTES = 40,
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, AGENT_COUNTERS);
  __type(key, __u32);
  __type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(enum agent_counter counter) {
  __u32 key = counter;
  __u64* value = bpf_map_lookup_elem(&counters, &key);
  if (value) ++*value;
}

enum kind { KIND_pass, KIND_deliver, KIND_forward, KIND_drop, KIND_egress };

static __always_inline enum kind kind_of(enum agent_counter counter) {
  switch (counter) {
#define AGENT_COUNTER(name, kind, description) \
  case AGENT_##name:                           \
    return KIND_##kind;
#include "tools/agent/agent_counters.def"
#undef AGENT_COUNTER
    default:
      return KIND_pass;
  }
}

static __always_inline __be16 ethertype_of(__u8 version) {
  return version == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
}

/* Moves the Ethernet header (and tag) up to the inner packet. False when the kernel refuses. */
static __always_inline int strip_xdp(struct xdp_md* ctx, const struct judgement* judgement) {
  __u32 header[3]; /* both MAC addresses */
  __u32 tag = 0;
  __be16 ethertype = ethertype_of(judgement->inner_version);
  void* begin = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  int tagged = judgement->l2_bytes == ETH_HLEN + 4;
  if (begin + ETH_HLEN + 4 > end) return 0;
  __builtin_memcpy(header, begin, sizeof(header));
  __builtin_memcpy(&tag, begin + sizeof(header), sizeof(tag));
  if (bpf_xdp_adjust_head(ctx, (int)judgement->strip_bytes) != 0) return 0;
  begin = (void*)(long)ctx->data;
  end = (void*)(long)ctx->data_end;
  /* The inner packet has at least 20 bytes after the 14 or 18 of Ethernet. */
  if (begin + ETH_HLEN + 4 > end) return 0;
  __builtin_memcpy(begin, header, sizeof(header));
  if (tagged) {
    __builtin_memcpy(begin + sizeof(header), &tag, sizeof(tag));
    __builtin_memcpy(begin + sizeof(header) + sizeof(tag), &ethertype, sizeof(ethertype));
  } else {
    __builtin_memcpy(begin + sizeof(header), &ethertype, sizeof(ethertype));
  }
  return 1;
}

SEC("xdp")
int fairlead_xdp(struct xdp_md* ctx) {
  void* begin = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  struct judgement judgement = {};
  enum agent_counter counter = judge(begin, end, (__u32)(end - begin), &judgement);
  if (kind_of(counter) == KIND_deliver && !strip_xdp(ctx, &judgement))
    counter = AGENT_adjust_failed;
  count(counter);
  return kind_of(counter) == KIND_drop ? XDP_DROP : XDP_PASS;
}

static __always_inline int strip_tc(struct __sk_buff* skb, const struct judgement* judgement) {
  /* The segment size of a merged (GRO) packet already is that of the inner packets. */
  __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
  __be16 ethertype = ethertype_of(judgement->inner_version);
  if (judgement->inner_version != judgement->outer_version)
    flags |= judgement->inner_version == 4 ? ADJ_ROOM_DECAP_L3_IPV4 : ADJ_ROOM_DECAP_L3_IPV6;
  if (bpf_skb_adjust_room(skb, -(__s32)judgement->strip_bytes, BPF_ADJ_ROOM_MAC, flags) != 0)
    return 0;
  return bpf_skb_store_bytes(skb, ETH_HLEN - 2, &ethertype, sizeof(ethertype), 0) == 0;
}

/* An skb keeps its VLAN tag outside the packet's bytes. A tag within the bytes is a second tag. */
SEC("tc")
int fairlead_tc(struct __sk_buff* skb) {
  __u32 wanted = skb->len < MAX_HEADER_BYTES ? skb->len : MAX_HEADER_BYTES;
  if (skb->data_end - skb->data < wanted) bpf_skb_pull_data(skb, wanted);
  void* begin = (void*)(long)skb->data;
  void* end = (void*)(long)skb->data_end;
  struct ethhdr* ethernet = begin;
  struct judgement judgement = {};
  enum agent_counter counter = AGENT_not_a_tunnel;
  if ((void*)(ethernet + 1) <= end && ethernet->h_proto != bpf_htons(ETH_P_8021Q) &&
      ethernet->h_proto != bpf_htons(ETH_P_8021AD))
    counter = judge(begin, end, skb->len, &judgement);
  if (settings.second_chance && counter == AGENT_gue_delivered) {
    enum chance chance = second_chance(skb, &judgement);
    if (chance == CHANCE_sent_on) counter = AGENT_sent_on;
    if (chance == CHANCE_failed) counter = AGENT_send_on_failed;
  }
  if (kind_of(counter) == KIND_deliver && !strip_tc(skb, &judgement)) counter = AGENT_adjust_failed;
  count(counter);
  if (counter == AGENT_sent_on) return (int)bpf_redirect_neigh(skb->ifindex, NULL, 0, 0);
  return kind_of(counter) == KIND_drop ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

/* Offset of the TCP header if the packet is TCP from a frontend, else 0. */
static __always_inline __u32 find_frontend_tcp(struct __sk_buff* skb) {
  struct agent_address source = {};
  void* begin = (void*)(long)skb->data;
  void* end = (void*)(long)skb->data_end;
  __u32 offset;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip = begin + ETH_HLEN;
    if ((void*)(ip + 1) > end || ip->protocol != IPPROTO_TCP || ip->ihl < 5) return 0;
    if (ip->frag_off & bpf_htons(IP_FRAGMENT_BITS)) return 0;
    source.version = 4;
    __builtin_memcpy(source.bytes, &ip->saddr, 4);
    offset = ETH_HLEN + ip->ihl * 4U;
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip = begin + ETH_HLEN;
    if ((void*)(ip + 1) > end || ip->nexthdr != IPPROTO_TCP) return 0;
    source.version = 6;
    __builtin_memcpy(source.bytes, &ip->saddr, 16);
    offset = ETH_HLEN + sizeof(*ip);
  } else {
    return 0;
  }
  return bpf_map_lookup_elem(&seen_frontends, &source) ? offset : 0;
}

/* Offset of the MSS option's value within the frame, 0 if there is none. */
static __always_inline __u32 find_mss(struct __sk_buff* skb, __u32 options, __u32 bytes) {
  __u32 at = 0;
  for (int i = 0; i < MAX_TCP_OPTION_BYTES; ++i) {
    __u8 option[2] = {};
    if (at + 4 > bytes) return 0; /* no space left for an MSS option */
    if (bpf_skb_load_bytes(skb, options + at, option, sizeof(option)) != 0) return 0;
    if (option[0] == 0) return 0; /* end of options */
    if (option[0] == 2) return option[1] == 4 ? options + at + 2 : 0;
    if (option[0] != 1 && option[1] < 2) return 0;
    at += option[0] == 1 ? 1 : option[1];
  }
  return 0;
}

SEC("tc")
int fairlead_clamp(struct __sk_buff* skb) {
  if (skb->data_end - skb->data < 74) bpf_skb_pull_data(skb, skb->len < 74 ? skb->len : 74);
  __u32 tcp_at = find_frontend_tcp(skb);
  struct tcphdr tcp;
  if (tcp_at == 0 || bpf_skb_load_bytes(skb, tcp_at, &tcp, sizeof(tcp)) != 0) return TC_ACT_UNSPEC;
  if (!tcp.syn || !tcp.ack || tcp.doff <= 5) return TC_ACT_UNSPEC;
  __u32 mss_at = find_mss(skb, tcp_at + sizeof(tcp), tcp.doff * 4U - sizeof(tcp));
  __be16 mss = 0;
  if (mss_at == 0 || bpf_skb_load_bytes(skb, mss_at, &mss, sizeof(mss)) != 0) return TC_ACT_UNSPEC;
  if (bpf_ntohs(mss) <= settings.clamp_mss) return TC_ACT_UNSPEC;
  __be16 clamped = bpf_htons(settings.clamp_mss);
  if (bpf_skb_store_bytes(skb, mss_at, &clamped, sizeof(clamped), 0) != 0) return TC_ACT_UNSPEC;
  /* The value of an option at an odd offset spans two of the checksum's 16-bit words. The
   * difference then counts with its bytes swapped (RFC 1071, 2(B)). */
  if (((mss_at - tcp_at) & 1) != 0) {
    mss = (__be16)__builtin_bswap16(mss);
    clamped = (__be16)__builtin_bswap16(clamped);
  }
  bpf_l4_csum_replace(skb, tcp_at + __builtin_offsetof(struct tcphdr, check), mss, clamped,
                      sizeof(mss));
  count(AGENT_mss_clamped);
  return TC_ACT_UNSPEC;
}

/* The programs of this folder may be used under the GPL, version 2, as well as under the project's
 * Apache-2.0. The kernel offers bpf_tcp_check_syncookie to GPL-compatible programs only
 * (docs/decisions/0005). */
char LICENSE[] SEC("license") = "GPL";
