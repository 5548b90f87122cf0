/* Tables whose actions are kept elsewhere: an action profile, and an action selector that two tables share. */
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>  what;
    bit<8>  tag;
    bit<32> source;
    bit<16> port;
    bit<8>  result;
    bit<8>  path;
}

struct headers_t {
    data_t data;
}

struct metadata_t {
    bit<16> port;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.data);
        meta.port = hdr.data.port;
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control In(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action_profile(4) profile;
    @max_group_size(12)
    action_selector(HashAlgorithm.crc16, 32, 14) selector;
    direct_counter(CounterType.packets) balanced_counter;

    action set_result(bit<8> result) {
        hdr.data.result = result;
    }

    action forward(bit<9> port, bit<8> result) {
        standard.egress_spec = port;
        hdr.data.result = result;
    }

    action deny() {
        mark_to_drop(standard);
    }

    table plain {
        key = { hdr.data.tag: exact; }
        actions = { set_result; forward; deny; }
        implementation = profile;
        size = 16;
    }

    table balanced {
        key = {
            hdr.data.tag: exact;
            hdr.data.source: selector;
            meta.port: selector;
        }
        actions = { set_result; forward; }
        implementation = selector;
        counters = balanced_counter;
        size = 16;
    }

    table masked {
        key = {
            hdr.data.tag: ternary;
            hdr.data.source: selector;
            meta.port: selector;
        }
        actions = { forward; set_result; }
        implementation = selector;
        size = 16;
    }

    apply {
        standard.egress_spec = 2;
        if (hdr.data.what == 1) {
            switch (plain.apply().action_run) {
                set_result: { hdr.data.path = 1; }
                forward: { hdr.data.path = 2; }
                default: { hdr.data.path = 3; }
            }
        } else if (hdr.data.what == 2) {
            if (balanced.apply().hit) {
                hdr.data.path = 4;
            } else {
                hdr.data.path = 5;
            }
        } else {
            masked.apply();
        }
    }
}

control Out(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply { } }

control Compute(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Deparse(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr.data); }
}

V1Switch(Parse(), Verify(), In(), Out(), Compute(), Deparse()) main;
