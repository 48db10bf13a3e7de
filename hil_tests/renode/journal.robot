*** Settings ***
Documentation       The agent keeps its journal on raw flash, without a gateway, and goes on with it after a loss of power.
Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Reset Emulation
Test Teardown       Test Teardown
Resource            ${RENODEKEYWORDS}
Resource            board.resource

*** Test Cases ***
Segments Are Sealed While Nobody Listens
    Start Board
    Wait For Line On Uart    runs, boot 1,
    ${before}=    Execute Command    sysbus ReadDoubleWord ${PROGRAMS}
    Test If Uart Is Idle    5
    Count Should Be At Least    ${PROGRAMS}    ${before.strip()} + 3
    Count Should Be    ${VIOLATIONS}    0

Journal Goes On After A Loss Of Power
    Start Board
    Wait For Line On Uart    runs, boot 1,
    Test If Uart Is Idle    3
    Cut The Power
    Wait For Line On Uart    runs, boot 2,
    ${before}=    Execute Command    sysbus ReadDoubleWord ${PROGRAMS}
    Test If Uart Is Idle    5
    Count Should Be At Least    ${PROGRAMS}    ${before.strip()} + 3
    Count Should Be    ${VIOLATIONS}    0
