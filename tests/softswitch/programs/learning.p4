/* Digests, idle timeouts, and what a control may do besides: assertions and messages. */
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>  what;
    bit<32> address;
    bit<16> port;
    bit<8>  result;
}

struct headers_t {
    data_t data;
}

struct seen_t {
    bit<32> address;
    bit<9>  port;
}

struct port_t {
    bit<16> port;
}

struct metadata_t { }

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.data);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control In(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    action set_result(bit<8> result) {
        hdr.data.result = result;
    }

    action learn() {
        digest<seen_t>(1, { hdr.data.address, standard.ingress_port });
    }

    action learn_port() {
        digest<port_t>(1, { hdr.data.port });
    }

    table known {
        key = { hdr.data.address: exact; }
        actions = { set_result; learn; }
        default_action = learn();
        support_timeout = true;
        size = 64;
    }

    table prefixes {
        key = { hdr.data.address: lpm; }
        actions = { set_result; NoAction; }
        default_action = NoAction();
        support_timeout = true;
        size = 64;
    }

    apply {
        standard.egress_spec = 2;
        if (hdr.data.what == 1) {
            known.apply();
        } else if (hdr.data.what == 2) {
            learn_port();
        } else if (hdr.data.what == 3) {
            prefixes.apply();
        } else if (hdr.data.what == 4) {
            log_msg("an address: {} and a port: {}", { hdr.data.address, hdr.data.port });
            assert(hdr.data.port != 7);
            assume(hdr.data.address != 7);
        }
    }
}

control Out(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply { } }

control Compute(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Deparse(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr.data); }
}

V1Switch(Parse(), Verify(), In(), Out(), Compute(), Deparse()) main;
