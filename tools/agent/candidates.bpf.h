/* The second chance. A balancer may not know whether a flow is older than a change of its slot. It
 * then adds a list of the other backends that the flow may belong to. A backend that does not know
 * the flow sends the packet on to the next backend of the list.
 *
 * The list is GUE private data (docs/second-chance.md):
 *
 *   0     1          2     3          4          8
 *   0xfa  ver|6|cnt  next  0          generation      count addresses of 4 or 16 bytes, newest owner first
 *
 * `next` is the number of addresses that were tried. Each backend that sends a packet on raises it,
 * so a packet is sent on at most as often as the list is long. The balancer does not list the
 * backend that it sends the packet to. A backend skips an entry that is its own address.
 *
 * A packet belongs to this backend if it opens a connection (SYN), if a local socket knows it, if
 * it is the ACK of a SYN cookie that this host gave out, if it is not TCP, or if no candidate is
 * left.
 */
#pragma once

enum {
  LIST_MAGIC = 0xfa,
  LIST_VERSION = 1,
  LIST_IPV6 = 8,
  LIST_COUNT_MASK = 7,
  LIST_HEADER_BYTES = 8,
  LIST_MAX = 6,
  LIST_NEXT_AT = 2,
};

struct candidate_list {
  __u8 magic;
  __u8 shape; /* version << 4 | LIST_IPV6 | count */
  __u8 next;
  __u8 reserved;
  __be32 generation;
};

/* Where judge() found the list. */
struct candidates {
  __u32 offset; /* from the frame's first byte; 0 = no list */
  __u8 count;
  __u8 next;
};

/* Reads the list from `data_bytes` of GUE private data. The addresses must be of the outer packet's
 * family, because a backend is reached over one family only. */
static __always_inline void read_candidates(void* begin, const struct candidate_list* list,
                                            void* end, __u32 data_bytes, __u8 outer_version,
                                            struct candidates* found) {
  if (data_bytes < LIST_HEADER_BYTES || (void*)(list + 1) > end) return;
  if (list->magic != LIST_MAGIC || list->shape >> 4 != LIST_VERSION || list->reserved != 0) return;
  __u8 count = list->shape & LIST_COUNT_MASK;
  __u32 address_bytes = outer_version == 6 ? 16 : 4;
  if (((list->shape & LIST_IPV6) != 0) != (outer_version == 6)) return;
  if (count > LIST_MAX || list->next > count) return;
  if (data_bytes != LIST_HEADER_BYTES + count * address_bytes) return;
  found->offset = (__u32)((void*)list - begin);
  found->count = count;
  found->next = list->next;
}
