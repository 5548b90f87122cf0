/* Every match kind, every stateful extern, controller headers, and control flow that depends on tables. */
#include <core.p4>
#include <v1model.p4>

@controller_header("packet_in")
header packet_in_t {
    bit<9> ingress_port;
    bit<7> reason;
}

@controller_header("packet_out")
header packet_out_t {
    bit<9> egress_port;
    bit<7> pad;
}

header data_t {
    bit<8>  what;
    bit<32> address;
    bit<16> port;
    bit<8>  tag;
    bit<8>  result;
    bit<32> value;
}

struct headers_t {
    packet_in_t  packet_in;
    packet_out_t packet_out;
    data_t       data;
}

struct metadata_t {
    bit<2>  colour;
    bit<32> value;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        transition select(standard.ingress_port) {
            510: from_controller;
            default: data;
        }
    }
    state from_controller {
        packet.extract(hdr.packet_out);
        transition data;
    }
    state data {
        packet.extract(hdr.data);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control In(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    direct_counter(CounterType.packets_and_bytes) exact_counter;
    direct_meter<bit<2>>(MeterType.packets) ternary_meter;
    counter(16, CounterType.packets_and_bytes) cells;
    meter(4, MeterType.bytes) policers;
    register<bit<32>>(8) memory;

    action set_result(bit<8> result) {
        hdr.data.result = result;
    }

    action counted_result(bit<8> result) {
        exact_counter.count();
        hdr.data.result = result;
    }

    action metered_result(bit<8> result) {
        ternary_meter.read(meta.colour);
        hdr.data.result = result;
    }

    action deny() {
        mark_to_drop(standard);
        exit;
    }

    action forward(bit<9> port, bit<8> result) {
        standard.egress_spec = port;
        hdr.data.result = result;
    }

    @name("exact_table")
    table exact_table {
        key = {
            hdr.data.address: exact @name("address");
            hdr.data.tag: exact @name("tag");
        }
        actions = { counted_result; @defaultonly NoAction; }
        const default_action = NoAction;
        counters = exact_counter;
        size = 4;
    }

    table lpm_table {
        key = {
            hdr.data.address: lpm @name("address");
        }
        actions = { set_result; NoAction; }
        default_action = set_result(99);
        size = 64;
    }

    table ternary_table {
        key = {
            hdr.data.address: ternary @name("address");
            hdr.data.tag: exact @name("tag");
        }
        actions = { metered_result; NoAction; }
        default_action = NoAction;
        meters = ternary_meter;
        size = 64;
    }

    table range_table {
        key = {
            hdr.data.port: range @name("port");
            hdr.data.address: ternary @name("address");
        }
        actions = { set_result; deny; @tableonly forward; NoAction; }
        default_action = NoAction;
        size = 64;
    }

    table optional_table {
        key = {
            hdr.data.port: optional @name("port");
            hdr.data.tag: optional @name("tag");
        }
        actions = { set_result; NoAction; }
        default_action = NoAction;
        size = 64;
    }

    table const_table {
        key = {
            hdr.data.tag: ternary @name("tag");
        }
        actions = { set_result; NoAction; }
        const default_action = NoAction;
        const entries = {
            0x10 &&& 0xF0: set_result(16);
            0x12: set_result(18);
            0x00 &&& 0x01: set_result(2);
        }
    }

    table valid_table {
        key = {
            hdr.packet_out.isValid(): exact @name("from_controller");
        }
        actions = { set_result; NoAction; }
        default_action = NoAction;
        size = 4;
    }

    apply {
        standard.egress_spec = 2;
        if (!hdr.data.isValid()) {
            mark_to_drop(standard);
            exit;
        }
        hdr.data.result = 0;
        if (hdr.packet_out.isValid() && hdr.data.what != 8) {
            standard.egress_spec = hdr.packet_out.egress_port;
            hdr.packet_out.setInvalid();
            exit;
        }
        if (hdr.data.what == 1) {
            exact_table.apply();
        } else if (hdr.data.what == 2) {
            if (lpm_table.apply().hit) {
                hdr.data.value = 1;
            } else {
                hdr.data.value = 2;
            }
        } else if (hdr.data.what == 3) {
            ternary_table.apply();
            hdr.data.value = (bit<32>) meta.colour;
        } else if (hdr.data.what == 4) {
            switch (range_table.apply().action_run) {
                set_result: { hdr.data.value = 10; }
                forward: { hdr.data.value = 20; }
                default: { hdr.data.value = 30; }
            }
            hdr.data.tag = hdr.data.tag + 1;
        } else if (hdr.data.what == 5) {
            optional_table.apply();
        } else if (hdr.data.what == 6) {
            const_table.apply();
        } else if (hdr.data.what == 7) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = standard.ingress_port;
            hdr.packet_in.reason = (bit<7>) hdr.data.tag;
            standard.egress_spec = 510;
        } else if (hdr.data.what == 8) {
            valid_table.apply();
            hdr.packet_out.setInvalid();
        } else if (hdr.data.what == 9) {
            cells.count((bit<32>) hdr.data.tag);
        } else if (hdr.data.what == 10) {
            policers.execute_meter((bit<32>) hdr.data.tag, meta.colour);
            hdr.data.value = (bit<32>) meta.colour;
        } else if (hdr.data.what == 11) {
            memory.read(meta.value, (bit<32>) hdr.data.tag);
            memory.write((bit<32>) hdr.data.tag, meta.value + 5);
            hdr.data.value = meta.value;
        } else if (hdr.data.what == 12) {
            hash(hdr.data.value, HashAlgorithm.crc32, 32w0, { hdr.data.address, hdr.data.port }, 32w0xFFFFFFFF);
        } else if (hdr.data.what == 13) {
            hash(hdr.data.port, HashAlgorithm.crc16, 16w100, { hdr.data.address, hdr.data.tag }, 32w16);
        } else if (hdr.data.what == 14) {
            hash(hdr.data.value, HashAlgorithm.identity, 32w0, { hdr.data.port }, 32w0xFFFF);
        } else if (hdr.data.what == 15) {
            hash(hdr.data.value, HashAlgorithm.csum16, 32w0, { hdr.data.address, hdr.data.port }, 32w0x10000);
        } else if (hdr.data.what == 16) {
            truncate(4);
        } else if (hdr.data.what == 17) {
            random(hdr.data.value, 32w5, 32w7);
        }
    }
}

control Out(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action stop() {
        mark_to_drop(standard);
    }

    table egress_table {
        key = {
            standard.egress_port: exact @name("port");
        }
        actions = { stop; NoAction; }
        default_action = NoAction;
        size = 8;
    }

    apply {
        egress_table.apply();
    }
}

control Update(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.packet_out);
        packet.emit(hdr.data);
    }
}

V1Switch(Parse(), Verify(), In(), Out(), Update(), Deparse()) main;
