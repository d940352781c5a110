/* Shared by the steering program and its C++ side. Plain C: clang -target bpf reads it too. */
#pragma once

#include <linux/types.h>

/* A frontend's address as a key. IPv4: family 4, the last twelve bytes zero (IpAddress::bytes). */
struct steering_address {
  __u8 family; /* 4 or 6 */
  __u8 reserved[3];
  __u8 bytes[16];
};

/* The source of a nat backend's replies, as a key. The entry with port 0 of an address and protocol
 * has the port ranges, for ports without their own entry. It also matches later fragments, which
 * have no ports. */
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
/* The value of an entry with port 0. The values of other entries are not used. */
struct steering_ports {
  __u16 range_count; /* up to STEERING_MAX_RANGES; any port is 1-65535 */
  struct steering_range ranges[STEERING_MAX_RANGES];
};

/* Per-CPU counters. Each received frame increments exactly one. */
enum steering_counter {
  STEERING_TO_DATAPLANE, /* matches, passed to the queue's AF_XDP socket */
  STEERING_TO_KERNEL,    /* matches no entry */
  STEERING_NO_SOCKET,    /* matches, but the queue has no socket: passed to the kernel */
  STEERING_COUNTERS,
};

/* The size of the socket map limits the queue numbers that a port may use. */
enum {
  STEERING_MAX_QUEUES = 256,
  STEERING_MAX_FRONTENDS = 65536,
  STEERING_MAX_SOURCES = 262144,
  STEERING_MAX_HOST_ADDRESSES = 4096,
};
