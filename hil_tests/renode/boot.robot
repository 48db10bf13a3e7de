*** Settings ***
Documentation       The image says what it is, and the agent begins.
Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Reset Emulation
Test Teardown       Test Teardown
Resource            ${RENODEKEYWORDS}
Resource            board.resource

*** Test Cases ***
Board Says What Runs On It
    Start Board
    Wait For Line On Uart    outstation device on mps2_an385: protocol \\d+, rules \\d+, MicroPython \\S+, image [0-9a-f]{16}    treatAsRegex=true
    Wait For Next Line On Uart

Agent Runs And Counts Its Boot
    Start Board
    Wait For Line On Uart    reset cause 0,
    Wait For Line On Uart    device [0-9a-f]{16} runs, boot 1,    treatAsRegex=true
    Count Should Be    ${BOOTS}    1

Every Start Is A Boot Of Its Own
    Start Board
    Wait For Line On Uart    runs, boot 1,
    Press Reset
    Wait For Line On Uart    runs, boot 2,
    Press Reset
    Wait For Line On Uart    runs, boot 3,
