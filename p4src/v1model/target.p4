// What blocks ask of a target, as BMv2 and the embedded switch have it.
#ifndef V1MODEL_TARGET_P4
#define V1MODEL_TARGET_P4

#define CPU_PORT 510
#define COPY_PORT CPU_PORT    // where copies wait for their second pass: nothing leaves by it

// v1model attaches counters to tables: an action counts without saying so.
#define DIRECT_COUNTER(name)        direct_counter(CounterType.packets_and_bytes) name;
#define COUNT(name)
#define TABLE_COUNTER(name)         counters = name;

#define DIRECT_METER_PACKETS(name)  direct_meter<bit<2>>(MeterType.packets) name;
#define DIRECT_METER_BYTES(name)    direct_meter<bit<2>>(MeterType.bytes) name;
#define METER(name, colour)         name.read(colour)
#define TABLE_METER(name)           meters = name;

// One number for one flow, whatever it is made of: the outer header's flow label (RFC 6438 section 3) and the choice among BIDs.
#define FLOW_HASH(result) hash(result, HashAlgorithm.crc32, (bit<20>)0, \
    { meta.source, meta.destination, meta.upper.protocol, meta.upper.source_port, meta.upper.destination_port, \
      meta.upper.spi }, (bit<32>)0x100000);

#endif
