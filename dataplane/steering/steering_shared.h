/* What the steering program and its C++ side both know. Plain C: read by clang -target bpf too. */
#pragma once

#include <linux/types.h>

/* A frontend's address as a key. IPv4: family 4, the last twelve bytes zero (IpAddress::bytes). */
struct steering_address {
  __u8 family; /* 4 or 6 */
  __u8 reserved[3];
  __u8 bytes[16];
};

/* What a nat service's backend sends from, as a key. The entry with port 0 of an address and protocol
 * says what other ports there are beside those with entries of their own; it stands for later
 * fragments, too, which show no port. */
struct steering_source {
  __u8 family;   /* 4 or 6 */
  __u8 protocol; /* TCP or UDP */
  __be16 port;
  __u8 bytes[16];
};
enum { STEERING_MAX_RANGES = 8 };
struct steering_range {
  __u16 first; /* host order */
  __u16 last;
};
/* The value of an entry with port 0; of others nothing is looked at. */
struct steering_ports {
  __u16 range_count; /* up to STEERING_MAX_RANGES; any port is 1-65535 */
  struct steering_range ranges[STEERING_MAX_RANGES];
};

/* Per-CPU counters, one of which each received frame raises. */
enum steering_counter {
  STEERING_TO_DATAPLANE, /* the dataplane's, handed to the queue's AF_XDP socket */
  STEERING_TO_KERNEL,    /* nothing of ours */
  STEERING_NO_SOCKET,    /* the dataplane's, but nobody listens on this queue: to the kernel */
  STEERING_COUNTERS,
};

/* The socket map's size bounds the queue numbers that a port may use. */
enum {
  STEERING_MAX_QUEUES = 256,
  STEERING_MAX_FRONTENDS = 65536,
  STEERING_MAX_SOURCES = 262144,
  STEERING_MAX_HOST_ADDRESSES = 4096,
};
