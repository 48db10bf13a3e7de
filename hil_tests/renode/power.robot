*** Settings ***
Documentation       Flash outlives a reset and a loss of power, and the board tells one from the other.
Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Reset Emulation
Test Teardown       Test Teardown
Resource            ${RENODEKEYWORDS}
Resource            board.resource

*** Test Cases ***
Reset Keeps Flash And Is Told From A Loss Of Power
    Start Board
    Wait For Line On Uart    reset cause 0,
    Wait For Line On Uart    runs, boot 1,
    Press Reset
    Wait For Line On Uart    reset cause 2,
    Wait For Line On Uart    runs, boot 2,

Loss Of Power Keeps Flash
    Start Board
    Wait For Line On Uart    runs, boot 1,
    Cut The Power
    Wait For Line On Uart    reset cause 0,
    Wait For Line On Uart    runs, boot 2,

Power May Go Before The Agent Runs
    Start Board
    Wait For Line On Uart    outstation device on
    Cut The Power
    Wait For Line On Uart    runs, boot
    Count Should Be    ${BOOTS}    2

Power Goes Again And Again
    Start Board
    FOR    ${boot}    IN RANGE    1    5
        Wait For Line On Uart    runs, boot ${boot},
        Cut The Power
    END
    Wait For Line On Uart    runs, boot 5,
    Count Should Be    ${VIOLATIONS}    0
