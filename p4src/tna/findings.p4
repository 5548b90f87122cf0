// What blocks note instead of a verdict.
#ifndef TNA_FINDINGS_P4
#define TNA_FINDINGS_P4

// Everything is looked up before anything is judged, so blocks note what they found, each in a bit of its own.
struct findings_t {
    bit<1> NOT_FOR_US;
    bit<1> NOT_IP;
    bit<1> UNREGISTERED_OUTER_SOURCE;
    bit<1> FORGED_INNER_SOURCE;
    bit<1> NO_BINDING;
    bit<1> NO_TUNNEL;
    bit<1> NO_ROUTE;
    bit<1> POLICY;
    bit<1> ECN;
    bit<1> SIGNALLING_DENIED;
    bit<1> SCOPE;
    bit<1> UNREACHABLE;
    bit<1> LINK_DISCOVERY;
    bit<1> punted;
}

// Beside them, how long the frame must be in egress, and constants that the parser sets: to have them set by the first stage would
// cost it.
#define FINDINGS          findings_t found; mtu_t frame_octets; mtu_t header_octets; mtu_t header_last;
#define HEADER_OCTETS     meta.header_octets
#define HEADER_LAST       meta.header_last
#define DROP(why)         meta.found.why = 1
#define PUNT(why)         meta.found.punted = 1; meta.punt_reason = why
#define REPORT(why, what) meta.found.why = 1; meta.found.what = 1

#endif
