/* What the BPF programs and fairlead-agent share. Plain C, since clang -target bpf reads it too. */
#pragma once

#include <linux/types.h>

enum agent_counter {
#define AGENT_COUNTER(name, kind, description) AGENT_##name,
#include "tools/agent/agent_counters.def"
#undef AGENT_COUNTER
  AGENT_COUNTERS,
};

/* Read-only to the programs: the verifier drops the branches that a setting switches off. */
struct agent_settings {
  __u32 interface_index; /* attached to */
  __u16 gue_port;        /* host order; 0 = GUE is not decapsulated */
  __u16 clamp_mss;       /* 0 = SYN-ACKs stay unchanged */
  __u8 strict;           /* 1 = IPIP from sources that are no balancers is dropped */
  __u8 hook;             /* enum agent_hook */
  __u8 made_qdisc;       /* 1 = the agent made the clsact qdisc */
  __u8 second_chance;    /* 1 = use candidate lists, and accept packets from peers */
};

enum agent_hook { AGENT_HOOK_XDP = 0, AGENT_HOOK_TC = 1 };

/* Keys of the balancers' prefix tries. */
struct agent_prefix4 {
  __u32 length_bits;
  __u8 address[4];
};
struct agent_prefix6 {
  __u32 length_bits;
  __u8 address[16];
};

/* A frontend's address: the destination of an inner packet. IPv4: the last 12 bytes are zero. */
struct agent_address {
  __u8 version;
  __u8 reserved[3];
  __u8 bytes[16];
};

enum { AGENT_MAX_BALANCERS = 4096, AGENT_MAX_FRONTENDS = 4096 };
