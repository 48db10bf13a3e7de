*** Settings ***
Documentation       The console of a development image takes Python: what a production image refuses is there to be refused.
Suite Setup         Setup
Suite Teardown      Teardown
Test Setup          Reset Emulation
Test Teardown       Test Teardown
Resource            ${RENODEKEYWORDS}
Resource            board.resource

*** Test Cases ***
Console Takes Python
    Start Board    ${DEVELOPMENT}
    Wait For Prompt On Uart    >>>
    Write Line To Uart    print(6*7)
    Wait For Line On Uart    42
    Wait For Prompt On Uart    >>>

Console Can Be Interrupted
    Start Board    ${DEVELOPMENT}
    Wait For Prompt On Uart    >>>
    Write Line To Uart    print('begun'); __import__('time').sleep(99)
    Wait For Line On Uart    ^begun    treatAsRegex=true
    Test If Uart Is Idle    1
    Send Key To Uart    0x03
    Wait For Line On Uart    KeyboardInterrupt
    Wait For Prompt On Uart    >>>
    Write Char On Uart    7
    Wait For Prompt On Uart    7

Program Can Reset Its Board
    Start Board    ${DEVELOPMENT}
    Wait For Prompt On Uart    >>>
    Write Line To Uart    import machine
    Wait For Prompt On Uart    >>>
    Write Line To Uart    machine.reset()
    Wait For Line On Uart    MicroPython
    Wait For Prompt On Uart    >>>
    Count Should Be    ${BOOTS}    2
