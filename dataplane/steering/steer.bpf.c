/* Steering: which frames of a shared NIC are the dataplane's.
 *
 * A frame is handed to the AF_XDP socket of its RX queue when its IP destination is a frontend's
 * address (whatever the protocol: fragments and ICMP errors have no ports), when it is ARP that
 * asks for or speaks as such an address, or a neighbour solicitation or advertisement about one.
 * Everything else is the kernel's: SSH, BGP, the host's own ping. Example: with the frontend
 * 203.0.113.10, a TCP segment to 203.0.113.10:443 goes to the socket of queue ctx->rx_queue_index;
 * one to 10.0.0.2:22 on the same queue goes up the kernel's stack.
 *
 * A socket leaves `xsks_map` when its process ends, however it ends. The redirect then returns its
 * fallback, XDP_PASS: with a dead dataplane the kernel sees what it would see without us.
 *
 * net_af_xdp loads this object itself (`xdp_prog=`), finds `xsks_map` by that name and fills it.
 * It takes the first program of the object, so there is one.
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

#include "dataplane/steering/steering_shared.h"

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, STEERING_MAX_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} xsks_map SEC(".maps");

/* Twice the limit: an update adds the new set before it removes the old. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 2 * STEERING_MAX_FRONTENDS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct steering_address);
  __type(value, __u8);
} frontends SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, STEERING_COUNTERS);
  __type(key, __u32);
  __type(value, __u64);
} steer_counters SEC(".maps");

struct vlan_tag {
  __be16 tci;
  __be16 next_ethertype;
};

struct arp_ipv4 {
  __be16 hardware, protocol;
  __u8 hardware_bytes, protocol_bytes;
  __be16 operation;
  __u8 sender_mac[ETH_ALEN];
  __u8 sender[4];
  __u8 target_mac[ETH_ALEN];
  __u8 target[4];
} __attribute__((packed));

/* RFC 4861, 4.3 and 4.4: solicitation and advertisement begin alike. */
struct neighbour_message {
  __u8 type, code;
  __be16 checksum;
  __be32 flags;
  __u8 target[16];
};

enum { ND_SOLICITATION = 135, ND_ADVERTISEMENT = 136, HW_ETHERNET = 1 };

static __always_inline int is_frontend4(const void* address) {
  struct steering_address key = {.family = 4};
  __builtin_memcpy(key.bytes, address, 4);
  return bpf_map_lookup_elem(&frontends, &key) != NULL;
}

static __always_inline int is_frontend6(const void* address) {
  struct steering_address key = {.family = 6};
  __builtin_memcpy(key.bytes, address, 16);
  return bpf_map_lookup_elem(&frontends, &key) != NULL;
}

static __always_inline int arp_is_ours(const void* at, const void* end) {
  const struct arp_ipv4* arp = at;
  if ((const void*)(arp + 1) > end) return 0;
  if (arp->hardware != bpf_htons(HW_ETHERNET) || arp->protocol != bpf_htons(ETH_P_IP) ||
      arp->hardware_bytes != ETH_ALEN || arp->protocol_bytes != 4)
    return 0;
  return is_frontend4(arp->target) || is_frontend4(arp->sender);
}

static __always_inline int ipv6_is_ours(const void* at, const void* end) {
  const struct ipv6hdr* ip = at;
  if ((const void*)(ip + 1) > end) return 0;
  if (is_frontend6(&ip->daddr)) return 1;
  /* ND comes without extension headers (RFC 6980 forbids the only one that would hide it). */
  const struct neighbour_message* message = (const void*)(ip + 1);
  if (ip->nexthdr != IPPROTO_ICMPV6 || (const void*)(message + 1) > end) return 0;
  if (message->type != ND_SOLICITATION && message->type != ND_ADVERTISEMENT) return 0;
  return is_frontend6(message->target);
}

static __always_inline int is_ours(const void* at, const void* end) {
  const struct ethhdr* ethernet = at;
  if ((const void*)(ethernet + 1) > end) return 0;
  __be16 ethertype = ethernet->h_proto;
  at = ethernet + 1;
  for (int depth = 0; depth < 2; ++depth) {
    if (ethertype != bpf_htons(ETH_P_8021Q) && ethertype != bpf_htons(ETH_P_8021AD)) break;
    const struct vlan_tag* tag = at;
    if ((const void*)(tag + 1) > end) return 0;
    ethertype = tag->next_ethertype;
    at = tag + 1;
  }
  if (ethertype == bpf_htons(ETH_P_IP)) {
    const struct iphdr* ip = at;
    return (const void*)(ip + 1) <= end && is_frontend4(&ip->daddr);
  }
  if (ethertype == bpf_htons(ETH_P_IPV6)) return ipv6_is_ours(at, end);
  if (ethertype == bpf_htons(ETH_P_ARP)) return arp_is_ours(at, end);
  return 0;
}

static __always_inline void count(__u32 counter) {
  __u64* value = bpf_map_lookup_elem(&steer_counters, &counter);
  if (value) ++*value;
}

SEC("xdp")
int fairlead_steer(struct xdp_md* ctx) {
  const void* begin = (const void*)(long)ctx->data;
  const void* end = (const void*)(long)ctx->data_end;
  if (!is_ours(begin, end)) {
    count(STEERING_TO_KERNEL);
    return XDP_PASS;
  }
  int action = (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
  count(action == XDP_REDIRECT ? STEERING_TO_DATAPLANE : STEERING_NO_SOCKET);
  return action;
}

char LICENSE[] SEC("license") = "Apache-2.0";
