// The stages of ProcessBurst, in order. Each expects what the ones before it left in the burst.
#pragma once

#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

// Judges destination MACs and finds the headers. Sets packet, key; verdict other_mac or unreadable,
// else pending.
void ParseHeaders(PipelineContext& context, Burst& burst);

// Decides whose the packet is: the kernel's, a question to be answered, or a service's. Sets
// service, live, question.
void LookupServices(PipelineContext& context, Burst& burst);

// Hashes what is live and gives each packet its backend and egress port.
void SelectBackends(PipelineContext& context, Burst& burst);

// First fragments leave word where they go; later ones go there, or wait. Adds to live and reply.
void FollowFragments(PipelineContext& context, Burst& burst);
// Does to fragment `i`, parsed, what its datagram's first one left word of (not 0).
void FollowWord(PipelineContext& context, Burst& burst, uint32_t i, uint64_t word);

// Leaves word for the later fragments of first fragment `i`, from a nat backend's address: they are
// to be translated as well, or the kernel's. REQUIRES context.fragments not null.
void RememberReply(PipelineContext& context, const Burst& burst, uint32_t i, bool translated);

// ICMP errors to frontends go to the backend of the flow that they are about. Adds to live.
void ForwardErrors(PipelineContext& context, Burst& burst);

// Whether packet `i`, to nobody's frontend, comes from a nat backend (or is an ICMP error about what
// nat sent there); then it is a reply, held, or dropped, and true is returned.
bool JudgeReply(PipelineContext& context, Burst& burst, uint32_t i);

// Gives replies their frontend's address and port.
void TranslateReplies(PipelineContext& context, Burst& burst);

// Turns each live packet into what leaves.
void Rewrite(PipelineContext& context, Burst& burst);

// Does so with those in `list` that are nothing special; leaves the others there, in order, and returns
// how many they are. REQUIRES tables.
uint32_t RewriteShort(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count);

// Turns questions into their replies, in place.
void Answer(PipelineContext& context, Burst& burst);

}  // namespace fairlead
