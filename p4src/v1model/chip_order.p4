// The order of tna/pipeline.p4 on BMv2 and the embedded switch: so the packet tests go through it without a chip. Only tests use it.
#include <core.p4>
#include <v1model.p4>

#include "target.p4"
#undef FINDINGS
#define BRIDGE                    struct
#define DROP_COUNTER(name)        counter(COUNT_DROP_REASONS, CounterType.packets_and_bytes) name;
#define COUNT_DROP(name, reason)  name.count((bit<32>)(bit<8>)reason)

// What of them the pipeline writes to.
struct ingress_intrinsic_metadata_for_deparser_t {
    bit<3> drop_ctl;
}

struct ingress_intrinsic_metadata_for_tm_t {
    bit<9>  ucast_egress_port;
    bit<16> mcast_grp_a;
}

#include "../common/sizes.p4"
#include "../common/types.p4"
#include "../tna/bridge.p4"
#include "../tna/findings.p4"
#undef FINDINGS
#define FINDINGS findings_t found; mtu_t frame_octets; mtu_t header_octets; mtu_t header_last; bridge_t bridge; mtu_t octets_now;
#include "../common/headers.p4"
#include "shell.p4"
#include "../tna/pipeline.p4"

control ShellIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    ChipIngress() ingress;

    apply {
        bridge_t bridge = meta.bridge;
        ingress_intrinsic_metadata_for_deparser_t deparsed = { 0 };
        ingress_intrinsic_metadata_for_tm_t manager = { 0, 0 };

        meta.ingress_port = standard.ingress_port;
        meta.header_octets = IPV6_HEADER_OCTETS;
        meta.header_last = IPV6_HEADER_OCTETS - 1;
        meta.is_copy = standard.instance_type == INSTANCE_RECIRCULATED;
        meta.from_controller = hdr.packet_out.isValid();
        meta.malformed = meta.malformed || standard.parser_error != error.NoError;
        meta.octets_now = (bit<16>)standard.packet_length + (FRAME_OCTETS - 14);    // as egress of a chip counts
        if (hdr.tunnel_option.isValid()) {
            meta.octets_now = meta.octets_now - 8;
        }
        ingress.apply(bridge, hdr, meta, deparsed, manager);
        meta.bridge = bridge;
        if (meta.own_address && meta.is_tunnel) {
            meta.octets_now = meta.octets_now - IPV6_HEADER_OCTETS;
        }
        if (deparsed.drop_ctl == 1) {
            mark_to_drop(standard);
        } else {
            standard.egress_spec = manager.ucast_egress_port;
            standard.mcast_grp = manager.mcast_grp_a;
        }
    }
}

control ShellEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    ChipEgress() egress;

    apply {
        bridge_t bridge = meta.bridge;
        bit<3> drop_ctl = 0;

        // A chip parses anew what leaves ingress.
        if (!hdr.ipv6.isValid() && hdr.inner_ipv6.isValid()) {
            hdr.ipv6 = hdr.inner_ipv6;
            hdr.inner_ipv6.setInvalid();
        }
        egress.apply(bridge, hdr, meta, meta.octets_now, standard.egress_rid, drop_ctl);
        meta.bid = bridge.bid;
        if (drop_ctl == 1) {
            mark_to_drop(standard);
        } else if (standard.egress_rid != 0) {
            recirculate_preserving_field_list(COPY_FIELDS);
        }
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

V1Switch(ShellParser(), NoVerify(), ShellIngress(), ShellEgress(), ShellUpdate(), ShellDeparser()) main;
