/* The second chance: a balancer that cannot know whether a flow is older than a change of its slot
 * sends along whom else the flow may belong to; a backend that does not know the flow sends it on.
 *
 * The list is GUE private data (docs/second-chance.md):
 *
 *   0     1          2     3          4          8
 *   0xfa  ver|6|cnt  next  0          epoch      count addresses of 4 or 16 bytes, newest owner first
 *
 * `next` says how many of them were tried. Each backend that sends a packet on raises it, so no packet
 * travels further than the list is long, and never to one that it was at: whoever listed the packet's
 * first backend, or this one, is passed over.
 *
 * The packet is ours when it opens a connection (SYN), when a socket here knows it, when it carries
 * what only we could have given out (the ACK of a SYN cookie), when it is no TCP, or when nobody is
 * left to try.
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
  __be32 epoch;
};

/* Where the list is, as judge() has found it. */
struct candidates {
  __u32 offset; /* from the frame's begin; 0 = there is none */
  __u8 count;
  __u8 next;
};

/* `data_bytes` of GUE private data. The addresses must be of the outer packet's family: a backend is
 * reached over one. */
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
