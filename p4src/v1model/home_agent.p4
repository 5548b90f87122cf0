// The home agent's data plane for BMv2 and the embedded switch.
#include <core.p4>
#include <v1model.p4>

#include "target.p4"
#include "../common/sizes.p4"
#include "../common/types.p4"
#include "../common/headers.p4"
#include "verdicts.p4"
#include "shell.p4"
#include "lengths.p4"
#include "pipeline.p4"

control ShellIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    Lengths()   lengths;
    HomeAgent() home_agent;

    @id(0x12000001) counter(COUNT_DROP_REASONS, CounterType.packets_and_bytes) drops;

    apply {
        meta.ingress_port = standard.ingress_port;
        meta.is_copy = standard.instance_type == INSTANCE_RECIRCULATED;
        if (standard.parser_error != error.NoError) {
            meta.malformed = true;
        } else if (standard.checksum_error == 1) {
            meta.malformed = meta.malformed || !meta.is_tunnel;
            meta.inner_malformed = true;
        }
        if (hdr.packet_out.isValid() && hdr.packet_out.routed == 0) {
            meta.egress_port = (port_t)hdr.packet_out.egress_port;
        } else {
            meta.from_controller = hdr.packet_out.isValid();
            lengths.apply(hdr, meta, standard.packet_length);
            home_agent.apply(hdr, meta);
        }
        hdr.packet_out.setInvalid();

        if (meta.verdict == verdict_t.FORWARD) {
            standard.egress_spec = meta.egress_port;
            standard.mcast_grp = meta.group_id;
        } else if (meta.verdict == verdict_t.PUNT) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = (bit<16>)standard.ingress_port;
            hdr.packet_in.reason = (bit<8>)meta.punt_reason;
            hdr.packet_in.mtu = meta.reported_mtu;
            standard.egress_spec = CPU_PORT;
        } else {
            drops.count((bit<32>)(bit<8>)meta.drop_reason);
            mark_to_drop(standard);
        }
    }
}

// A packet for several BIDs comes here once for each of them, and goes round again to be sent like any other.
control ShellEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        if (standard.egress_rid != 0) {
            meta.bid = standard.egress_rid;
            recirculate_preserving_field_list(COPY_FIELDS);
        }
    }
}

V1Switch(ShellParser(), ShellVerify(), ShellIngress(), ShellEgress(), ShellUpdate(), ShellDeparser()) main;
