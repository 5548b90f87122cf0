/* Multicast groups, clones, resubmits and recirculation. */
#include <core.p4>
#include <v1model.p4>

header order_t {
    bit<8> what;
    bit<8> count;
    bit<8> instance;
    bit<8> rid;
    bit<8> port;
    bit<8> kept;
}

struct headers_t {
    order_t order;
}

struct metadata_t {
    @field_list(1)
    bit<8> kept;
    bit<8> lost;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.order);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control In(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        if (hdr.order.what == 1) {
            standard.mcast_grp = (bit<16>) hdr.order.count;
        } else if (hdr.order.what == 2) {
            meta.kept = 77;
            meta.lost = 88;
            hdr.order.count = 99;
            clone_preserving_field_list(CloneType.I2E, 5, 1);
        } else if (hdr.order.what == 3) {
            if (meta.kept < 3) {
                meta.kept = meta.kept + 1;
                resubmit_preserving_field_list(1);
            }
        } else if (hdr.order.what == 4 && hdr.order.count == 0) {
            mark_to_drop(standard);
        } else if (hdr.order.what == 5) {
            meta.kept = 11;
            meta.lost = 12;
        } else if (hdr.order.what == 6) {
            resubmit_preserving_field_list(1);
        } else if (hdr.order.what == 7) {
            clone(CloneType.I2E, 5);
            mark_to_drop(standard);
        }
    }
}

control Out(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        if (hdr.order.what == 4 && hdr.order.count > 0) {
            hdr.order.count = hdr.order.count - 1;
            meta.kept = meta.kept + 1;
            recirculate_preserving_field_list(1);
        }
        hdr.order.kept = meta.kept + meta.lost;
        if (hdr.order.what == 5 && standard.instance_type == 0) {
            clone_preserving_field_list(CloneType.E2E, 5, 1);
        }
        hdr.order.instance = (bit<8>) standard.instance_type;
        hdr.order.rid = (bit<8>) standard.egress_rid;
        hdr.order.port = (bit<8>) standard.egress_port;
    }
}

control Update(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.order);
    }
}

V1Switch(Parse(), Verify(), In(), Out(), Update(), Deparse()) main;
