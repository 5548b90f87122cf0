// What blocks ask of a target, as BMv2 and the embedded switch have it.
#ifndef V1MODEL_TARGET_P4
#define V1MODEL_TARGET_P4

#define CPU_PORT 510
#define COPY_PORT CPU_PORT    // where copies wait for their second pass: nothing leaves by it

typedef bit<2> colour_t;
const colour_t METER_RED = 2;

#define FINDINGS    // blocks pronounce their verdict at once

// v1model attaches counters to tables: an action counts without saying so.
#define DIRECT_COUNTER(name)        direct_counter(CounterType.packets_and_bytes) name;
#define COUNT(name)
#define TABLE_COUNTER(name)         counters = name;

#define DIRECT_METER_PACKETS(name)  direct_meter<bit<2>>(MeterType.packets) name;
#define DIRECT_METER_BYTES(name)    direct_meter<bit<2>>(MeterType.bytes) name;
#define METER(name, colour)         name.read(colour)
#define TABLE_METER(name)           meters = name;

// One number for one flow, whatever it is made of: the outer header's flow label (RFC 6438 section 3) and the choice among BIDs
// and among paths.
#define DECLARE_FLOW_HASH(name)
#define FLOW_HASH(name, result) hash(result, HashAlgorithm.crc32, (bit<20>)0, \
    { meta.source, meta.destination, meta.upper.protocol, meta.upper.source_port, meta.upper.destination_port, \
      meta.upper.spi }, (bit<32>)0x100000);

#define PATH_SELECTOR(name) \
    @id(0x11000001) @max_group_size(SIZE_PATH_GROUP) action_selector(HashAlgorithm.crc32, SIZE_PATHS, 32) name;
#define TABLE_SELECTOR(name)        implementation = name;
// BMv2 has no default action beside a selector.
#define SELECTOR_MISS(refuse)       NoAction
#define APPLY_SELECTOR(table, refuse)  if (!table.apply().hit) { refuse(); }

// Tables of the longest chain.
#define CRITICAL

// How flow bindings match ports.
#define PORT_MATCH range
#define MORE_FLOW_KEYS \
            meta.upper.spi              : ternary @id(9) @name("spi"); \
            meta.is_ipv4                : ternary @id(10) @name("ipv4");

#define NOTE_SPI(value)  meta.upper.spi = value;

#endif
