// The blocks in their order for a processor: each step may end it, and what comes after is not looked up then.
#ifndef V1MODEL_PIPELINE_P4
#define V1MODEL_PIPELINE_P4

#include "../blocks/links.p4"
#include "../blocks/neighbours.p4"
#include "../blocks/signalling.p4"
#include "../blocks/decapsulation.p4"
#include "../blocks/steering.p4"
#include "../blocks/encapsulation.p4"
#include "../blocks/routing.p4"
#include "../blocks/reports.p4"

control HomeAgent(inout headers_t hdr, inout metadata_t meta) {
    Links()         links;
    Neighbours()    neighbours;
    Advertisement() advertisement;
    Stations()      stations;
    Signalling()    signalling_block;
    WholePacket()   whole_packet;
    TransitTunnel() transit_tunnel;
    Terminations()  terminations;
    Senders()       senders;
    SourceCheck()   source_check;
    Marking()       marking;
    Unwrapping()    unwrapping;
    Nodes()         nodes;
    Steering()      steering;
    Balancing()     balancing;
    Rates()         rates;
    Encapsulation() encapsulation;
    TunnelSources() tunnel_sources_block;
    Routing()       routing;
    Rewriting()     rewriting;
    OuterHeader()   outer_header;
    Reports()       reports;

    apply {
        if (meta.malformed) {
            DROP(MALFORMED);
        } else if (!hdr.ipv6.isValid() && meta.is_ipv4 == 0) {
            links.apply(hdr, meta);
        } else {
            if (meta.from_controller || meta.is_copy) {
                whole_packet.apply(hdr, meta);
            } else {
                if (hdr.neighbour.isValid()) {
                    neighbours.apply(hdr, meta);
                }
                stations.apply(hdr, meta);
                if (meta.verdict == verdict_t.FORWARD) {
                    if (meta.answered) {
                        advertisement.apply(hdr, meta);
                    } else if (!meta.is_tunnel && hdr.ipv6.isValid()) {
                        signalling_block.apply(hdr, meta);
                        if (meta.signalling_colour == METER_RED) {
                            DROP(SIGNALLING_RATE);
                        }
                        if (meta.verdict == verdict_t.FORWARD && meta.own_address) {
                            DROP(SIGNALLING_DENIED);
                        }
                    } else if (meta.own_address && meta.inner_malformed) {
                        DROP(MALFORMED);
                    }
                }
            }
            if (meta.verdict == verdict_t.FORWARD && !meta.answered) {
                transit_tunnel.apply(hdr, meta);
                FLOW_HASH(flow_hash, meta.flow_hash)
                if (meta.flow_hash == 0) {
                    meta.flow_hash = 1;     // RFC 6437 section 3: zero means "no label"
                }
                if (meta.own_address) {
                    terminations.apply(hdr, meta);
                    senders.apply(hdr, meta);
                    if (meta.verdict == verdict_t.FORWARD) {
                        source_check.apply(hdr, meta);
                    }
                    if (meta.verdict == verdict_t.FORWARD) {
                        marking.apply(hdr, meta);
                    }
                    if (meta.verdict == verdict_t.FORWARD) {
                        unwrapping.apply(hdr, meta);
                    }
                }
            }
            if (meta.verdict == verdict_t.FORWARD && !meta.answered && !meta.from_controller) {
                if (!meta.is_copy) {
                    // RFC 4291 sections 2.5.6 and 2.7: nothing of link scope is forwarded; multicast is not routed.
                    if (IS_MULTICAST(meta.destination) || IS_LINK_LOCAL(meta.destination) || IS_LINK_LOCAL(meta.source)) {
                        DROP(SCOPE);
                    } else if (meta.hop_limit <= 1) {
                        REPORT(HOP_LIMIT, HOP_LIMIT);
                    } else {
                        nodes.apply(hdr, meta);
                        if (meta.mobile) {
                            steering.apply(hdr, meta);
                            if (meta.balance_id != 0) {
                                balancing.apply(hdr, meta);
                            }
                        }
                    }
                }
                if (meta.verdict == verdict_t.FORWARD && meta.group_id == 0 && (meta.mobile || meta.is_copy)) {
                    rates.apply(hdr, meta);
                    if (meta.tunnel_colour == METER_RED) {
                        DROP(TUNNEL_RATE);
                    } else {
                        encapsulation.apply(hdr, meta);
                        if (meta.encapsulated) {
                            tunnel_sources_block.apply(hdr, meta);
                        }
                    }
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
                if (meta.encapsulated && meta.tunnel_room == 0) {
                    meta.reported_mtu = meta.tunnel_mtu;
                    REPORT(TOO_BIG, TOO_BIG);
                } else if (meta.next_hop_id != 0 && meta.next_room == 0) {
                    meta.reported_mtu = meta.next_mtu;
                    if (meta.encapsulated) {
                        meta.reported_mtu = meta.next_mtu |-| IPV6_HEADER_OCTETS;
                    }
                    REPORT(TOO_BIG, TOO_BIG);
                } else {
                    // Once for each forwarding: of a copy that was done when it was made.
                    if (!meta.is_copy) {
                        rewriting.apply(hdr, meta);
                    }
                    if (meta.encapsulated) {
                        outer_header.apply(hdr, meta);
                    }
                }
            }
            if (meta.verdict == verdict_t.REPORT) {
                reports.apply(hdr, meta);
                if (meta.report_colour == METER_RED) {
                    DROP(REPORT_RATE);
                }
            }
        }
    }
}

#endif
