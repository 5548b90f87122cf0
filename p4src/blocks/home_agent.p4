// The pipeline: the blocks in their order. A target's shell calls it and carries the verdict out.
#ifndef BLOCKS_HOME_AGENT_P4
#define BLOCKS_HOME_AGENT_P4

#include "links.p4"
#include "neighbours.p4"
#include "signalling.p4"
#include "decapsulation.p4"
#include "steering.p4"
#include "encapsulation.p4"
#include "routing.p4"
#include "reports.p4"

control HomeAgent(inout headers_t hdr, inout metadata_t meta) {
    Links()         links;
    Neighbours()    neighbours;
    Advertisement() advertisement;
    Signalling()    signalling_block;
    Decapsulation() decapsulation;
    Steering()      steering;
    Encapsulation() encapsulation;
    OuterHeader()   outer_header;
    Routing()       routing;
    Reports()       reports;

    apply {
        if (meta.malformed) {
            DROP(MALFORMED);
        } else if (!hdr.ipv6.isValid() && meta.is_ipv4 == 0) {
            links.apply(hdr, meta);
        } else if (!meta.from_controller) {
            if (!meta.is_copy) {
                if (hdr.neighbour.isValid()) {
                    neighbours.apply(hdr, meta);
                }
                signalling_block.apply(hdr, meta);
                if (meta.verdict == verdict_t.FORWARD) {
                    if (meta.answered) {
                        advertisement.apply(hdr, meta);
                    } else if (meta.own_address) {
                        if (!meta.is_tunnel) {
                            DROP(SIGNALLING_DENIED);
                        } else if (meta.inner_malformed) {
                            DROP(MALFORMED);
                        } else {
                            decapsulation.apply(hdr, meta);
                        }
                    }
                }
            }
            if (meta.verdict == verdict_t.FORWARD && !meta.answered) {
                if (meta.is_tunnel && !meta.own_address) {
                    // A tunnel that is not ours is a packet like any other: what is inside is not its upper layer.
                    meta.upper.protocol = hdr.ipv6.next_header;
                    meta.upper.source_port = 0;
                    meta.upper.destination_port = 0;
                    meta.upper.spi = 0;
                }
                // What later blocks need to know of the packet that is forwarded, whichever of the two IP versions it is.
                if (hdr.ipv6.isValid()) {
                    meta.octets = hdr.ipv6.payload_length |+| IPV6_HEADER_OCTETS;
                    meta.outer_octets = hdr.ipv6.payload_length |+| IPV6_HEADER_OCTETS;
                    meta.traffic_class = hdr.ipv6.traffic_class;
                    meta.flow_label = hdr.ipv6.flow_label;
                    meta.hop_limit = hdr.ipv6.hop_limit;
                } else if (hdr.ipv4.isValid()) {
                    meta.octets = hdr.ipv4.total_length;
                    meta.outer_octets = hdr.ipv4.total_length;
                    meta.traffic_class = hdr.ipv4.traffic_class;
                    meta.hop_limit = hdr.ipv4.time_to_live;
                }
                FLOW_HASH(meta.flow_hash)
                if (meta.flow_hash == 0) {
                    meta.flow_hash = 1;     // RFC 6437 section 3: zero means "no label"
                }
                if (!meta.is_copy) {
                    // RFC 4291 sections 2.5.6 and 2.7: nothing of link scope is forwarded; multicast is not routed.
                    if (IS_MULTICAST(meta.destination) || IS_LINK_LOCAL(meta.destination)
                        || IS_LINK_LOCAL(meta.source)) {
                        DROP(SCOPE);
                    } else if (meta.hop_limit <= 1) {
                        REPORT(HOP_LIMIT, HOP_LIMIT);
                    } else {
                        steering.apply(hdr, meta);
                    }
                }
                if (meta.verdict == verdict_t.FORWARD && meta.group_id == 0 && (meta.mobile || meta.is_copy)) {
                    encapsulation.apply(hdr, meta);
                }
            }
        }

        if (meta.verdict == verdict_t.FORWARD && !meta.delivered && meta.group_id == 0) {
            routing.apply(hdr, meta);
        }

        if (meta.from_controller) {
            // It is as long as it has to be, and if there is no way, nobody hears of it.
            if (meta.verdict == verdict_t.REPORT) {
                DROP(NO_ROUTE);
            }
        } else {
            if (meta.verdict == verdict_t.FORWARD && !meta.answered) {
                if (meta.tunnel_excess != 0) {
                    meta.reported_mtu = meta.tunnel_mtu;
                    REPORT(TOO_BIG, TOO_BIG);
                } else if (meta.next_excess != 0) {
                    meta.reported_mtu = meta.next_mtu;
                    if (meta.encapsulated) {
                        meta.reported_mtu = meta.next_mtu |-| IPV6_HEADER_OCTETS;
                    }
                    REPORT(TOO_BIG, TOO_BIG);
                } else {
                    // Once for each forwarding: of a copy that was done when it was made.
                    if (!meta.is_copy) {
                        if (hdr.ipv6.isValid()) {
                            hdr.ipv6.hop_limit = meta.hop_limit - 1;
                        } else if (hdr.ipv4.isValid()) {
                            hdr.ipv4.time_to_live = meta.hop_limit - 1;
                        }
                    }
                    if (meta.encapsulated) {
                        outer_header.apply(hdr, meta);
                    }
                }
            }
            if (meta.verdict == verdict_t.REPORT) {
                reports.apply(hdr, meta);
            }
        }
    }
}

#endif
