/* Steering: decides which frames of a shared NIC go to the dataplane.
 *
 * The AF_XDP socket of the RX queue gets these frames:
 * - IP to a frontend's address, with any protocol: fragments and ICMP errors have no ports
 * - ARP whose target or sender is a frontend's address
 * - neighbour solicitations and advertisements about a frontend's address
 * The kernel gets all other frames: SSH, BGP, the host's own ping. Example: with the frontend
 * 203.0.113.10, a TCP segment to 203.0.113.10:443 goes to the socket of queue ctx->rx_queue_index.
 * A segment to 10.0.0.2:22 on the same queue goes to the kernel's stack.
 *
 * The backends of a nat service send replies to the client's address, through us. The replies are
 * identified by their source: address, protocol and port of the backend. Example: 10.0.0.11:8080 to
 * 198.51.100.7:40000 goes to the dataplane. 10.0.0.11:8080 to 10.0.0.2:51000 answers our own health
 * check; it goes to the kernel, since 10.0.0.2 is the host's address. An ICMP error about a packet
 * to such a backend quotes the backend as the destination. Later fragments have no ports. So all
 * later TCP or UDP fragments from the backend to other hosts go to the dataplane.
 *
 * A socket leaves `xsks_map` when its process ends, however it ends. The redirect then returns its
 * fallback, XDP_PASS: without a running dataplane, the kernel gets all frames.
 *
 * net_af_xdp loads this object itself (`xdp_prog=`), finds `xsks_map` by name and fills it. It uses
 * the first program of the object, so there must be only one.
 */
/* clang-format off: linux/bpf.h must come first, since libbpf's headers use its types. */
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
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 2 * STEERING_MAX_SOURCES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct steering_source);
  __type(value, struct steering_ports);
} nat_sources SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 2 * STEERING_MAX_HOST_ADDRESSES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct steering_address);
  __type(value, __u8);
} host_addresses SEC(".maps");

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

/* RFC 4861, 4.3 and 4.4: solicitations and advertisements have the same start. */
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

/* The fields of an IP packet that the decision about nat needs. */
struct transport {
  struct steering_address source, destination;
  __u32 at; /* offset in the frame of the first byte after the IP headers */
  __u8 protocol;
  __u8 is_later_fragment;
};

/* RFC 8200: the start of all extension headers that may come before TCP and UDP. */
struct extension {
  __u8 next;
  __u8 length; /* in units of 8 bytes, minus one; AH: in units of 4 bytes, minus two */
  __be16 fragment_offset;
  __be32 rest;
};

/* Masks instead of comparisons keep the verifier's value ranges small, and thus its work. */
enum { MAX_EXTENSIONS = 8, OFFSET_MASK = 0xfff, ICMP_ERROR_BYTES = 8 };

/* Finds the end of the extension headers that begin at `offset` with one of type `kind`. Returns
 * offset | protocol << 16 | is_later_fragment << 24; 0 if they are truncated. A global function, so
 * that the verifier checks it only once. */
__noinline __u32 skip_extensions(struct xdp_md* ctx, __u32 offset, __u32 kind) {
  const void* end = (const void*)(long)ctx->data_end;
  for (int i = 0; i < MAX_EXTENSIONS; ++i) {
    offset &= OFFSET_MASK;
    kind &= 0xff;
    if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_DSTOPTS &&
        kind != IPPROTO_FRAGMENT && kind != IPPROTO_AH)
      break;
    const struct extension* header = (const void*)(long)ctx->data + offset;
    if ((const void*)(header + 1) > end) return 0;
    if (kind == IPPROTO_FRAGMENT && (header->fragment_offset & bpf_htons(0xfff8)))
      return (offset + 8) | (__u32)header->next << 16 | 1U << 24;
    __u32 units = kind == IPPROTO_FRAGMENT ? 0 : header->length;
    offset += kind == IPPROTO_AH ? (units + 2) * 4 : (units + 1) * 8;
    kind = header->next;
  }
  return offset | kind << 16;
}

static __always_inline int read_ipv4(const void* begin, const void* end, __u32 offset,
                                     struct transport* out) {
  const struct iphdr* ip = begin + offset;
  if ((const void*)(ip + 1) > end || ip->ihl < 5) return 0;
  out->source.family = out->destination.family = 4;
  __builtin_memcpy(out->source.bytes, &ip->saddr, 4);
  __builtin_memcpy(out->destination.bytes, &ip->daddr, 4);
  out->protocol = ip->protocol;
  out->is_later_fragment = (ip->frag_off & bpf_htons(0x1fff)) != 0;
  out->at = offset + ip->ihl * 4U;
  return 1;
}

static __always_inline int read_ipv6(struct xdp_md* ctx, const void* begin, const void* end,
                                     __u32 offset, struct transport* out) {
  const struct ipv6hdr* ip = begin + offset;
  if ((const void*)(ip + 1) > end) return 0;
  out->source.family = out->destination.family = 6;
  __builtin_memcpy(out->source.bytes, &ip->saddr, 16);
  __builtin_memcpy(out->destination.bytes, &ip->daddr, 16);
  __u32 found = skip_extensions(ctx, offset + sizeof(*ip), ip->nexthdr);
  out->at = found & 0xffff;
  out->protocol = (__u8)(found >> 16);
  out->is_later_fragment = (__u8)(found >> 24);
  return found != 0;
}

static __always_inline int in_range(const struct steering_ports* ports, __u16 port) {
  for (int i = 0; i < STEERING_MAX_RANGES; ++i) {
    if (i >= ports->range_count) return 0;
    if (port >= ports->ranges[i].first && port <= ports->ranges[i].last) return 1;
  }
  return 0;
}

static __always_inline int has_source(const struct steering_address* address, __u8 protocol,
                                      __be16 port, int is_later_fragment) {
  struct steering_source key = {.family = address->family, .protocol = protocol, .port = port};
  __builtin_memcpy(key.bytes, address->bytes, 16);
  if (!is_later_fragment && bpf_map_lookup_elem(&nat_sources, &key)) return 1;
  key.port = 0;
  const struct steering_ports* others = bpf_map_lookup_elem(&nat_sources, &key);
  return others && (is_later_fragment || in_range(others, bpf_ntohs(port)));
}

static __always_inline int has_ports(__u8 protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static __always_inline int is_icmp_error(__u8 family, __u8 type) {
  if (family == 4) return type == 3 || type == 11 || type == 12;
  return type >= 1 && type <= 4;
}

/* Reads the IP packet at `offset`, the frame's own or a quoted one. */
static __always_inline int read_packet(struct xdp_md* ctx, __u32 offset, __u32 family,
                                       struct transport* out) {
  const void* begin = (const void*)(long)ctx->data;
  const void* end = (const void*)(long)ctx->data_end;
  offset &= OFFSET_MASK;
  return family == 4 ? read_ipv4(begin, end, offset, out) : read_ipv6(ctx, begin, end, offset, out);
}

/* Four bytes at `offset`: two ports, or an ICMP type and more. NULL if the frame ends before. */
static __always_inline const void* four_bytes(struct xdp_md* ctx, __u32 offset) {
  const void* at = (const void*)(long)ctx->data + (offset & OFFSET_MASK);
  return at + 4 > (const void*)(long)ctx->data_end ? NULL : at;
}

/* True if the packet that an ICMP error quotes at `offset` went to a nat backend. */
__noinline int quotes_nat(struct xdp_md* ctx, __u32 offset, __u32 family) {
  struct transport quoted = {};
  if (!read_packet(ctx, offset, family, &quoted)) return 0;
  if (!has_ports(quoted.protocol) || quoted.is_later_fragment) return 0;
  const __be16* ports = four_bytes(ctx, quoted.at);
  return ports && has_source(&quoted.destination, quoted.protocol, ports[1], 0);
}

/* True if the packet is from a nat backend, or an ICMP error about a packet to one, and its
 * destination is not this host. */
__noinline int is_nat(struct xdp_md* ctx, __u32 offset, __u32 family) {
  struct transport packet = {};
  if (!read_packet(ctx, offset, family, &packet)) return 0;
  int is_ours = 0;
  const void* head = four_bytes(ctx, packet.at);
  if (has_ports(packet.protocol)) {
    if (packet.is_later_fragment)
      is_ours = has_source(&packet.source, packet.protocol, 0, 1);
    else if (head)
      is_ours = has_source(&packet.source, packet.protocol, *(const __be16*)head, 0);
  } else if (packet.protocol == (family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
    if (head && !packet.is_later_fragment && is_icmp_error((__u8)family, *(const __u8*)head))
      is_ours = quotes_nat(ctx, packet.at + ICMP_ERROR_BYTES, family);
  }
  return is_ours && !bpf_map_lookup_elem(&host_addresses, &packet.destination);
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
  /* ND has no extension headers (RFC 6980 forbids the fragment header, the only one that would hide
   * it). */
  const struct neighbour_message* message = (const void*)(ip + 1);
  if (ip->nexthdr != IPPROTO_ICMPV6 || (const void*)(message + 1) > end) return 0;
  if (message->type != ND_SOLICITATION && message->type != ND_ADVERTISEMENT) return 0;
  return is_frontend6(message->target);
}

static __always_inline int is_ours(struct xdp_md* ctx) {
  const void* begin = (const void*)(long)ctx->data;
  const void* end = (const void*)(long)ctx->data_end;
  const struct ethhdr* ethernet = begin;
  if ((const void*)(ethernet + 1) > end) return 0;
  const void* at = ethernet + 1;
  __u32 offset = sizeof(*ethernet);
  __be16 ethertype = ethernet->h_proto;
  int is_group = ethernet->h_dest[0] & 1; /* group frames are not routed */
  for (int depth = 0; depth < 2; ++depth) {
    if (ethertype != bpf_htons(ETH_P_8021Q) && ethertype != bpf_htons(ETH_P_8021AD)) break;
    const struct vlan_tag* tag = at;
    if ((const void*)(tag + 1) > end) return 0;
    ethertype = tag->next_ethertype;
    at = tag + 1;
    offset += sizeof(*tag);
  }
  if (ethertype == bpf_htons(ETH_P_IP)) {
    const struct iphdr* ip = at;
    if ((const void*)(ip + 1) > end) return 0;
    return is_frontend4(&ip->daddr) || (!is_group && is_nat(ctx, offset, 4));
  }
  if (ethertype == bpf_htons(ETH_P_IPV6))
    return ipv6_is_ours(at, end) || (!is_group && is_nat(ctx, offset, 6));
  if (ethertype == bpf_htons(ETH_P_ARP)) return arp_is_ours(at, end);
  return 0;
}

static __always_inline void count(__u32 counter) {
  __u64* value = bpf_map_lookup_elem(&steer_counters, &counter);
  if (value) ++*value;
}

SEC("xdp")
int fairlead_steer(struct xdp_md* ctx) {
  if (!is_ours(ctx)) {
    count(STEERING_TO_KERNEL);
    return XDP_PASS;
  }
  int action = (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
  count(action == XDP_REDIRECT ? STEERING_TO_DATAPLANE : STEERING_NO_SOCKET);
  return action;
}

char LICENSE[] SEC("license") = "Apache-2.0";
