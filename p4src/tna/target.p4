// What blocks ask of a target, as Tofino has it.
#ifndef TNA_TARGET_P4
#define TNA_TARGET_P4

#if __TARGET_TOFINO__ == 2
#define CPU_PORT 2
#define COPY_PORT 6       // recirculation of the first pipe: where copies begin their second pass
#else
#define CPU_PORT 192
#define COPY_PORT 68
#endif

// An MAU meter says 3 for red.
typedef bit<8> colour_t;
const colour_t METER_RED = 3;

// 32 bits of packets and 32 of octets in half a word of memory: the driver adds them up before they overflow.
#define DIRECT_COUNTER(name)        DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) name;
#define COUNT(name)                 name.count()
#define TABLE_COUNTER(name)         counters = name;

#define DIRECT_METER_PACKETS(name)  DirectMeter(MeterType_t.PACKETS) name;
#define DIRECT_METER_BYTES(name)    DirectMeter(MeterType_t.BYTES) name;
#define METER(name, colour)         colour = name.execute()
#define TABLE_METER(name)           meters = name;

#define DECLARE_FLOW_HASH(name)     Hash<bit<20>>(HashAlgorithm_t.CRC32) name;
#define FLOW_HASH(name, result)     result = name.get({ meta.source, meta.destination, meta.upper.protocol, \
    meta.upper.source_port, meta.upper.destination_port });

#define PATH_SELECTOR(name) \
    Hash<bit<32>>(HashAlgorithm_t.CRC32) path_hash; \
    ActionProfile(SIZE_PATHS) name; \
    ActionSelector(name, path_hash, SelectorMode_t.FAIR, SIZE_PATH_GROUP, SIZE_NEXT_HOPS) path_choice;
#define TABLE_SELECTOR(name)        implementation = path_choice;
#define SELECTOR_MISS(refuse)       refuse
#define APPLY_SELECTOR(table, refuse)  table.apply();

// What the chips hold less of than other targets; docs/tofino.md says why.
#if __TARGET_TOFINO__ == 2
#define SIZE_NETWORK_SOURCES 2048
#define SIZE_MOBILE_NETWORKS 2048
#else
#define SIZE_TUNNEL_TERMINATION 32768
#define SIZE_HOME_SOURCES       32768
#define SIZE_FLOW_BINDINGS      1024
#define SIZE_TUNNELS            65536
#define SIZE_NETWORK_SOURCES    1024
#define SIZE_MOBILE_NETWORKS    1024
#endif
#define SIZE_NEIGHBOUR_PROXY 16384

// Tables of the longest chain are placed first.
#define CRITICAL @placement_priority(10)

// Two ranges in a key of this width cost twice the stages.
#define PORT_MATCH ternary
// 44 octets are what three stages of TCAM hold for 4 096 entries: a security parameter index stands where ports would, and IPv4
// addresses are seen by their form.
#define MORE_FLOW_KEYS

#define NOTE_SPI(value)  meta.upper.source_port = value[31:16]; meta.upper.destination_port = value[15:0];

#define BRIDGE header

// What was dropped, by reason.
#define DROP_COUNTER(name)          Counter<bit<64>, bit<8>>(COUNT_DROP_REASONS, CounterType_t.PACKETS_AND_BYTES) name;
#define COUNT_DROP(name, reason)    name.count((bit<8>)reason)

#endif
