"""The mobile node: the host around the protocol engine `controller.mobility.mobile_node`."""
