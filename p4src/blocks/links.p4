// Link discovery (IEEE 802.1AB): the controller sends frames out of one switch and expects them from its neighbour. A frame is
// believed by its contents, in the controller; only ports with a switch behind them hand any up, so no host uses up their rate.
#ifndef BLOCKS_LINKS_P4
#define BLOCKS_LINKS_P4

control Links(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000060) action expect() {
        REPORT(NOT_IP, LINK_DISCOVERY);
    }

    @id(0x02000060)
    table link_ports {
        key = { meta.ingress_port : exact @id(1) @name("port"); }
        actions = { expect; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_LINK_PORTS;
    }

    apply {
        if (hdr.ethernet.ethertype == ETHERTYPE_LLDP) {
            if (!link_ports.apply().hit) {
                DROP(NOT_IP);
            }
        } else {
            DROP(NOT_IP);
        }
    }
}

#endif
