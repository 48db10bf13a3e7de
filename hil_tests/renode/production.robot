*** Settings ***
Documentation       What is typed on the console of a production image is not executed.
Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Reset Emulation
Test Teardown       Test Teardown
Resource            ${RENODEKEYWORDS}
Resource            board.resource

*** Variables ***
${ANSWER}           42|>>>|REPL|KeyboardInterrupt|Traceback

*** Test Cases ***
Console Takes No Python While The Board Starts
    Start Board
    Wait For Line On Uart    MicroPython
    Type Python
    Should Not Be On Uart    ${ANSWER}    timeout=2    treatAsRegex=true    includeUnfinishedLine=true

Console Takes No Python While The Agent Runs
    Start Board
    Wait For Line On Uart    runs, boot 1,
    Type Python
    Should Not Be On Uart    ${ANSWER}    timeout=2    treatAsRegex=true    includeUnfinishedLine=true

Console Neither Echoes Nor Stops The Agent
    Start Board
    Wait For Line On Uart    runs, boot 1,
    Type Python
    Test If Uart Is Idle    2
    Count Should Be    ${BOOTS}    1

*** Keywords ***
Type Python
    [Documentation]    Interrupts, a line, and the keys of each mode of a console for Python.
    Send Key To Uart    0x03
    Send Key To Uart    0x03
    Write Line To Uart    print(6*7)    waitForEcho=false
    Send Key To Uart    0x01
    Write Line To Uart    print(6*7)    waitForEcho=false
    Send Key To Uart    0x04
    Send Key To Uart    0x05
    Write Line To Uart    print(6*7)    waitForEcho=false
    Send Key To Uart    0x04
    Send Key To Uart    0x02
    Send Key To Uart    0x04
